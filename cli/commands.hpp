#pragma once
// The commands: each adds itself to the program and runs when chosen.

namespace CLI {
class App;
}

namespace sluice::cli {

/// Each sets `status` to the exit status after running; errors are thrown.
void add_train(CLI::App& program, int& status);
void add_plan(CLI::App& program, int& status);
void add_compare(CLI::App& program, int& status);
void add_inspect(CLI::App& program, int& status);
void add_report(CLI::App& program, int& status);
void add_claims(CLI::App& program, int& status);
void add_quantize(CLI::App& program, int& status);
void add_eval(CLI::App& program, int& status);
void add_score(CLI::App& program, int& status);
void add_rescore(CLI::App& program, int& status);
void add_next(CLI::App& program, int& status);
void add_mix(CLI::App& program, int& status);
void add_arpa(CLI::App& program, int& status);
void add_classify(CLI::App& program, int& status);
void add_generate(CLI::App& program, int& status);
void add_serve(CLI::App& program, int& status);
void add_info(CLI::App& program, int& status);
void add_import(CLI::App& program, int& status);
void add_export(CLI::App& program, int& status);
void add_tokenizer(CLI::App& program, int& status);
void add_tokenize(CLI::App& program, int& status);
void add_detokenize(CLI::App& program, int& status);
void add_vocabulary(CLI::App& program, int& status);
void add_units(CLI::App& program, int& status);
void add_tasks(CLI::App& program, int& status);

}  // namespace sluice::cli
