// Any gate by its name, over rows of a projection, with its gradient: gates NAME

#include <cstddef>
#include <exception>
#include <iostream>
#include <vector>

#include "sluice/kernels/fused_units.hpp"
#include "sluice/kernels/units.hpp"

int main(int argc, char** argv) {
  try {
    const sluice::Unit unit = sluice::parse_unit(argc > 1 ? argv[1] : "glu");
    std::cout << sluice::unit_name(unit) << "\n";

    // Two rows of three channels: a gate reads six columns, the linear half first.
    constexpr std::size_t rows = 2, channels = 3;
    const auto columns = static_cast<std::size_t>(unit.inputs(channels));
    std::vector<float> z(rows * columns);
    for (std::size_t i = 0; i < z.size(); ++i) z[i] = 0.5F * static_cast<float>(i) - 2;
    std::vector<float> y(rows * channels);
    sluice::kernels::unit_forward({.y = y.data(), .z = z.data(), .z_pitch = columns}, rows,
                                  channels, unit);

    // The gradient of the sum of all results.
    const std::vector<float> dy(y.size(), 1.0F);
    std::vector<float> dz(z.size());
    sluice::kernels::unit_backward({.dz = dz.data(),
                                    .dz_pitch = columns,
                                    .dbias = nullptr,
                                    .dy = dy.data(),
                                    .z = z.data(),
                                    .z_pitch = columns},
                                   rows, channels, unit);

    std::cout << "y ";
    for (const float value : y) std::cout << " " << value;
    std::cout << "\ndz";
    for (const float value : dz) std::cout << " " << value;
    std::cout << "\n";
  } catch (const std::exception& error) {
    std::cerr << "gates: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
