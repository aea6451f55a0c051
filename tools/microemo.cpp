#include "microemo/cli/main.h"

int main(int argument_count, char** arguments) { return microemo::cli::run(argument_count, arguments); }
