#include "tatara/cli/main.h"

int main(int argc, char** argv) {
  return tatara::cli::Main(argc, argv);
}
