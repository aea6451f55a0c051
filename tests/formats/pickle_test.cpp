#include "microemo/formats/pickle.h"

#include "formats/pickles.h"
#include "formats/support.h"

namespace microemo::formats {
namespace {

using test::expect_error;
using test::p_file;
using test::p_text;

Pickle read(const std::string& bytes) {
  MemoryBudget budget(bytes.size());
  return {bytes, budget, "x.pth"};
}

/// What stands in a pickle, in the way Python would print it.
std::string print(const Pickle& pickle, const PickleValue& value) {
  const auto all = [&](const char* open, const char* close) {
    std::string text;
    for (const PickleValue& item : pickle.items(value)) text += (text.empty() ? "" : " ") + print(pickle, item);
    return open + text + close;
  };
  switch (value.kind()) {
    case PickleKind::none:
      return "None";
    case PickleKind::boolean:
      return value.integer() != 0 ? "True" : "False";
    case PickleKind::integer:
      return std::to_string(value.integer());
    case PickleKind::real:
      return fmt::format("{}", value.real());
    case PickleKind::wide_integer:
      return fmt::format("wide({})", value.text().size());
    case PickleKind::text:
      return fmt::format("'{}'", value.text());
    case PickleKind::bytes:
      return fmt::format("b'{}'", value.text());
    case PickleKind::list:
      return all("[", "]");
    case PickleKind::tuple:
      return all("(", ")");
    case PickleKind::set:
      return all("{", "}");
    case PickleKind::dict:
      return all("{:", "}");
    case PickleKind::global:
      return pickle.global_name(value);
    case PickleKind::call:
      return print(pickle, pickle.items(value)[0]) + print(pickle, pickle.items(value)[1]);
    case PickleKind::persistent:
      return "@" + print(pickle, pickle.items(value)[0]);
  }
  return "?";
}

std::string printed(const std::string& bytes) {
  const std::string file = bytes + ".";
  MemoryBudget budget(file.size());
  const Pickle pickle(file, budget, "x.pth");
  return print(pickle, pickle.root());
}

struct Case {
  const char* name;
  std::string bytes, expected;
};

class PickleValues : public testing::TestWithParam<Case> {};

TEST_P(PickleValues, AreThoseOfPython) { EXPECT_EQ(printed(GetParam().bytes), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(
    Opcodes, PickleValues,
    testing::Values(
        Case{"None", "N", "None"}, Case{"Newtrue", "\x88", "True"}, Case{"OldBooleans", "(I00\nI01\nt", "(False True)"},
        Case{"Binint", std::string("J\xfe\xff\xff\xff", 5), "-2"}, Case{"Binint1", "K\xff", "255"},
        Case{"Binint2", "M\x01\x02", "513"}, Case{"Int", "I-7\n", "-7"}, Case{"Long", "L12L\n", "12"},
        Case{"Long1OfNoBytes", std::string("\x8a\x00", 2), "0"}, Case{"Long1", "\x8a\x01\xff", "-1"},
        Case{"Long1OfThreeBytes", std::string("\x8a\x03\x00\x00\x80", 5), "-8388608"},
        Case{"Long1BeyondSixtyFourBits", "\x8a\x09" + std::string(9, '\1'), "wide(9)"},
        Case{"Long4", std::string("\x8b\x02\x00\x00\x00\x01\x01", 7), "257"},
        Case{"Binfloat", std::string("G\x3f\xf8\x00\x00\x00\x00\x00\x00", 9), "1.5"}, Case{"Float", "F2.25\n", "2.25"},
        Case{"Binunicode", p_text("größe"), "'größe'"}, Case{"ShortBinunicode", "\x8c\x02xy", "'xy'"},
        Case{"Binstring", std::string("T\x02\x00\x00\x00xy", 7), "'xy'"}, Case{"ShortBinstring", "U\x02xy", "'xy'"},
        Case{"String", "S'a\\n\\x41\\\\'\n", "'a\nA\\'"}, Case{"Unicode", "V\\u00e9x\n", "'éx'"},
        Case{"Binbytes", std::string("B\x02\x00\x00\x00xy", 7), "b'xy'"}, Case{"ShortBinbytes", "C\x02xy", "b'xy'"},
        Case{"Bytearray8", std::string("\x96\x02\0\0\0\0\0\0\0xy", 11), "b'xy'"},
        Case{"Tuples", "()K\1\x85K\1K\2\x86K\1K\2K\3\x87(K\4tt", "(() (1) (1 2) (1 2 3) (4))"},
        Case{"Appends", "](K\1K\2eK\3a", "[1 2 3]"}, Case{"List", "(K\1K\2l", "[1 2]"},
        Case{"Setitems", "}(K\1K\2K\3K\4uK\5K\6s", "{:1 2 3 4 5 6}"}, Case{"Dict", "(K\1K\2d", "{:1 2}"},
        Case{"Additems", "\x8f(K\1K\2\x90", "{1 2}"}, Case{"Frozenset", "(K\1\x91", "{1}"},
        Case{"SetOfProtocol2", "c__builtin__\nset\n](K\1K\2e\x85R", "{1 2}"}, Case{"Global", "cos\nsystem\n", "os.system"},
        Case{"StackGlobal", "\x8c\x02os\x8c\x06system\x93", "os.system"}, Case{"Reduce", "cos\nsystem\nK\1\x85R", "os.system(1)"},
        Case{"Newobj", "cm\nC\n)\x81", "m.C()"}, Case{"NewobjEx", "cm\nC\nK\1\x85}\x92", "m.C(1)"},
        Case{"Obj", "(cm\nC\nK\1o", "m.C(1)"}, Case{"Inst", "(K\1im\nC\n", "m.C(1)"}, Case{"Build", "cm\nC\n)\x81}b", "m.C()"},
        Case{"OrderedDict", "ccollections\nOrderedDict\n)RK\1K\2s", "{:1 2}"},
        Case{"OrderedDictOfPairs", "ccollections\nOrderedDict\n](](K\1K\2e](K\3K\4ee\x85R", "{:1 2 3 4}"},
        Case{"Size", "ctorch\nSize\n(K\2K\3t\x85R", "(2 3)"}, Case{"Binpersid", "K\5Q", "@5"}, Case{"Persid", "Pabc\n", "@'abc'"},
        Case{"Memo", "]q\1K\7q\2ah\1h\2\x86", "([7] 7)"},
        Case{"LongMemo",
             std::string("K\7r\0\1\0\0"
                         "0j\0\1\0\0",
                         13),
             "7"},
        Case{"OldMemo", "K\7p3\n0g3\n", "7"}, Case{"Memoize", std::string("]\x94K\1\x94h\0h\1\x86", 10), "([] 1)"},
        Case{"MemoizeBehindAFarPlace", "]q\7K\1\x94h\1h\7\x87", "(1 1 [])"},
        Case{"Dup",
             "K\1"
             "2\x86",
             "(1 1)"},
        Case{"Pop",
             "K\1K\2"
             "0",
             "1"},
        Case{"PopMark",
             "K\1(K\2K\3"
             "1",
             "1"},
        Case{"Frame", "\x95" + std::string(8, '\0') + "K\1", "1"}, Case{"ProtocolFive", "\x80\5K\1", "1"}),
    [](const auto& one) { return std::string(one.param.name); });

class BadPickle : public testing::TestWithParam<Case> {};

TEST_P(BadPickle, IsRefused) {
  expect_error(
      ErrorKind::checkpoint, [&] { read(GetParam().bytes); }, GetParam().expected, "x.pth");
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadPickle,
    testing::Values(
        Case{"Empty", "", "it ends at its byte 0"}, Case{"WithoutStop", "N", "it ends at its byte 1"},
        Case{"StopWithoutValue", ".", "a value is missing"}, Case{"UnknownOpcode", "N\xff.", "opcode 0xff is unknown"},
        Case{"FutureProtocol", "\x80\6N.", "protocol 6 is unknown"},
        Case{"ExtensionRegistry", "\x82\1.", "opcode 0x82 is unknown"},
        Case{"OutOfBandBuffer", "\x97.", "opcode 0x97 is unknown"},
        Case{"TextLongerThanTheFile",
             std::string("X\xff\xff\xff\xff"
                         "ab",
                         7),
             "it ends"},
        Case{"TextOf2To64", "\x8d" + std::string(8, '\xff') + "ab.", "it ends"},
        Case{"BytesOf2To63", std::string("\x8e\0\0\0\0\0\0\0\x80.", 10), "it ends"},
        Case{"NumberLongerThanTheFile", std::string("\x8b\xff\xff\xff\xff.", 6), "it ends"},
        Case{"LineWithoutEnd", "cos", "a line has no end"}, Case{"IntThatIsNone", "Ix\n.", "64 bits is expected"},
        Case{"LongOverSixtyFourBits", "L99999999999999999999L\n.", "64 bits is expected"},
        Case{"FloatThatIsNone", "Fx\n.", "a number is expected"}, Case{"StringWithoutQuotes", "Sabc\n.", "no quotes"},
        Case{"BrokenEscape", "S'\\x4'\n.", "an escape is damaged"}, Case{"EscapeAtTheEnd", "V\\\n.", "an escape is damaged"},
        Case{"SurrogateEscape", "V\\ud800\n.", "an escape is damaged"}, Case{"TupleWithoutMark", "t.", "a mark is missing"},
        Case{"TupleOfTooFew", "N\x87.", "a value is missing"}, Case{"PopOfNothing", "0.", "a value is missing"},
        Case{"PopThroughAMark", "N(\x85.", "a value is missing"}, Case{"AppendToADict", "}Na.", "no container of theirs"},
        Case{"AppendToANumber", "K\1Na.", "no container of theirs"}, Case{"SetitemOfAList", "]NNs.", "no container"},
        Case{"KeyWithoutValue", "}(Nu.", "a key has no value"}, Case{"DictOfThree", "(NNNd.", "a key has no value"},
        Case{"GetOfNothing", "h\1.", "nothing was remembered as 1"},
        Case{"GetOfAFarPlace", std::string("j\xff\xff\xff\xff.", 6), "nothing was remembered"},
        Case{"PutOfNothing", "q\1.", "a value is missing"}, Case{"PutOfNoNumber", "Npx\n.", "whole number"},
        Case{"MemoizeOfNothing", "\x94.", "a value is missing"},
        Case{"ReduceWithoutTuple",
             "cos\nsystem\nN"
             "R.",
             "no tuple"},
        Case{"ReduceOfTooFew", ")R.", "a value is missing"}, Case{"GlobalOfNumbers", "K\1K\2\x93.", "no text"},
        Case{"ObjOfNothing", "(o.", "a value is missing"}, Case{"InstWithoutMark", "im\nC\n.", "a mark is missing"},
        Case{"BuildOfNothing", "Nb.", "a value is missing"}, Case{"PersistentOfNothing", "Q.", "a value is missing"},
        Case{"PairsThatAreNone", "ccollections\nOrderedDict\n](K\1e\x85R.", "something else than pairs"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Pickle, TellsHowManyBytesItTook) { EXPECT_EQ(read("K\1.rest").size(), 3u); }

TEST(Pickle, ACallOfACallHasNoName) {
  const Pickle pickle = read("cm\nC\n)R)R.");
  EXPECT_EQ(pickle.global_name(pickle.root()), "");
}

TEST(Pickle, StateOfUnknownObjectsIsDropped) { EXPECT_EQ(printed("cm\nC\n)\x81}K\1K\2sbK\1K\2sK\3a"), "m.C()"); }

TEST(Pickle, AContainerMayHoldItself) {
  const Pickle pickle = read("]q\1h\1a.");
  EXPECT_EQ(pickle.identity(pickle.items(pickle.root())[0]), pickle.identity(pickle.root()));
}

}  // namespace
}  // namespace microemo::formats
