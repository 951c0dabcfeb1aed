// Must not compile: training is no part of what inference brings.
#include "sluice/models/language_model.hpp"
#include "sluice/training/trainer.hpp"

int main() { return 0; }
