#pragma once
/// Values of options: text to numbers without surprises, ranges with short messages, and the kind
/// that an option of CLI11 has. CLI11 itself takes NaN and infinity for any range, cuts integers
/// off at 64 bits, reads 010 as eight, and prints the largest double with 309 digits.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/tensor/error.hpp"

namespace cli {

/// The shortest text that reads back as the same number: "0.001", "1e+308".
template <class N>
requires(std::integral<N> || std::floating_point<N>) std::string number_text(N value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end.ptr};
}

/// Text from outside, short enough for a message.
inline std::string shown(std::string_view text) {
  return tandem::concat("'", text.substr(0, 60), text.size() > 60 ? "…'" : "'");
}

/// Reads all of `text` as a number. Returns what is wrong with it, "" if nothing is; then `value`
/// is set. Integers: decimal or 0x…, and they must fit N. Real numbers: finite.
template <std::integral N>
std::string read_number(std::string_view text, N& value) {
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const bool hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
  if (hexadecimal) digits.remove_prefix(2);
  std::uint64_t size = 0;
  const char* const end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, size, hexadecimal ? 16 : 10);
  if (result.ptr != end || digits.empty() || result.ec == std::errc::invalid_argument) {
    return tandem::concat("expected an integer, got ", shown(text));
  }
  const std::uint64_t most =
      static_cast<std::uint64_t>(std::numeric_limits<N>::max()) + (negative ? 1 : 0);
  const bool fits = result.ec == std::errc() && size <= most &&
                    (!negative || std::signed_integral<N> || size == 0);
  if (!fits) {
    return tandem::concat("expected an integer from ", number_text(std::numeric_limits<N>::min()),
                          " to ", number_text(std::numeric_limits<N>::max()), ", got ",
                          shown(text));
  }
  value = static_cast<N>(negative ? std::uint64_t{0} - size : size);
  return "";
}

template <std::floating_point N>
std::string read_number(std::string_view text, N& value) {
  std::string_view digits = text;
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
  N read = 0;
  const char* const end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, read);
  if (result.ptr != end || digits.empty() || result.ec == std::errc::invalid_argument) {
    return tandem::concat("expected a number, got ", shown(text));
  }
  if (result.ec != std::errc() || !std::isfinite(read)) {
    return tandem::concat("expected a finite number that fits a double, got ", shown(text));
  }
  value = read;
  return "";
}

/// Reads "i/n", part i of n, 1 ≤ i ≤ n. Returns what is wrong with it, or "".
inline std::string read_part(std::string_view text, std::size_t& part, std::size_t& parts) {
  constexpr std::size_t most = 1000000;
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::size_t i = 0, n = 0;
  const bool good = slash < text.size() && read_number(text.substr(0, slash), i).empty() &&
                    read_number(text.substr(slash + 1), n).empty() && 1 <= i && i <= n && n <= most;
  if (!good) {
    return tandem::concat("expected a part and how many there are, from 1/8 to 8/8 for example, ",
                          most, " at most, got ", shown(text));
  }
  part = i, parts = n;
  return "";
}

// ---------------------------------------------------------------- ranges, for options of CLI11

/// A check that `good` holds for the number; `expected` completes "must be …".
template <class Good>
CLI::Validator number_check(std::string expected, Good good) {
  const auto check = [expected, good](const std::string& text) {
    double value = 0;
    if (std::string wrong = read_number(text, value); !wrong.empty()) {
      std::int64_t integer = 0;  // in hexadecimal
      if (!read_number(text, integer).empty()) return wrong;
      value = static_cast<double>(integer);
    }
    return good(value) ? std::string()
                       : tandem::concat("must be ", expected, ", it is ", number_text(value));
  };
  return CLI::Validator(check, std::move(expected), "");
}

/// low ≤ x ≤ high.   app.add_option("--top", top)->check(cli::range(1, 100));
inline CLI::Validator range(double low, double high) {
  return number_check(tandem::concat("from ", number_text(low), " to ", number_text(high)),
                      [low, high](double x) { return low <= x && x <= high; });
}
/// "i/n", as read_part() takes it; "" is everything.
inline CLI::Validator part_of_parts() {
  return {[](std::string& text) {
            std::size_t part = 0, parts = 0;
            return text.empty() ? std::string() : read_part(text, part, parts);
          },
          "i/n", ""};
}
/// x > 0.
inline CLI::Validator positive() {
  return number_check("positive", [](double x) { return x > 0; });
}
/// x ≥ 0.
inline CLI::Validator non_negative() {
  return number_check("0 or more", [](double x) { return x >= 0; });
}

// ---------------------------------------------------------------- the kind of an option

/// What an option holds. CLI11 forgets the type of the variable, but keeps its name.
enum class ValueKind { flag, integer, natural, real, text };

inline ValueKind kind_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return ValueKind::flag;
  const std::string name = option.get_type_name();
  // A range may follow
  const std::string_view type = std::string_view(name).substr(0, name.find(':'));
  return type == "INT"     ? ValueKind::integer
         : type == "UINT"  ? ValueKind::natural
         : type == "FLOAT" ? ValueKind::real
                           : ValueKind::text;
}

/// An option as the command line has it: "--theta-loc 0.3 0.45".
inline std::string words_of(const CLI::Option& option) {
  std::string out = option.get_name();
  if (kind_of(option) == ValueKind::flag) return out;
  for (const std::string& value : option.results()) out += " " + value;
  return out;
}

/// Several values?
inline bool is_list(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

/// Makes every number of a program strict, whoever declared it.
inline void make_strict(CLI::App& app) {
  const auto strictly = []<class N>(N) {
    return CLI::Validator(
        [](std::string& text) {
          N value{};
          std::string wrong = read_number(text, value);
          if (wrong.empty()) text = number_text(value);  // CLI11 would read 010 as eight
          return wrong;
        },
        "", "");
  };
  const auto add = [&](CLI::Option* option) {
    switch (kind_of(*option)) {
      case ValueKind::integer:
        option->transform(strictly(std::int64_t{}));
        break;
      case ValueKind::natural:
        option->transform(strictly(std::uint64_t{}));
        break;
      case ValueKind::real:
        option->transform(strictly(0.0));
        break;
      default:
        break;
    }
  };
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) add(option);
}

}  // namespace cli
