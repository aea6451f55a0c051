# Writes OUTPUT, a C++ source that knows the commit it is built from, when that is another one: cmake -DSOURCE=… -DOUTPUT=… -P Commit.cmake

execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=* OUTPUT_VARIABLE commit RESULT_VARIABLE failed
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(failed)
  set(commit "unknown")
endif()
set(text "#include \"commit.h\"\n\nnamespace microemo::cli {\n\nconst char* const built_from_commit = \"${commit}\";\n\n}  // namespace microemo::cli\n")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE "${OUTPUT}" "${text}")
endif()
