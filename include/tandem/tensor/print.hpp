#pragma once
/// Printing as NumPy prints: aligned columns, nested brackets, large arrays shortened.
///
///   std::cout << x << "\n";
///   to_string(tensor<float>({1, 2.5}));   // → "[1. , 2.5]"

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN

/// How to_string writes a tensor.
struct PrintOptions {
  int precision = 4;              ///< digits after the point, at most (NumPy's default is 8)
  std::int64_t threshold = 1000;  ///< more elements than this are shortened
  std::int64_t edge = 3;          ///< elements kept at each end of a shortened dimension
  int line_width = 75;            ///< characters of a line, at most
};

namespace detail {

/// Formats the shown elements of one array alike, so that columns align.
class ElementFormat {
 public:
  ElementFormat(const std::vector<double>& values, int precision) : precision_(precision) {
    double largest = 0, smallest = 0;
    for (double v : values) {
      if (v - v != 0 || v == 0) continue;
      const double a = v < 0 ? -v : v;
      largest = a > largest ? a : largest;
      smallest = smallest == 0 || a < smallest ? a : smallest;
    }
    // NumPy's rule for scientific notation.
    scientific_ = largest > 0 && (largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1000);
    shorten(values);
    for (double v : values) {
      const auto length = static_cast<int>(text(v).size());
      width_ = length > width_ ? length : width_;
    }
  }
  std::string padded(double value) const {
    std::string out = value - value == 0 ? blank_zeros(text(value)) : text(value);
    if (static_cast<int>(out.size()) < width_)
      out.insert(0, static_cast<std::size_t>(width_) - out.size(), ' ');
    return out;
  }

 private:
  /// Drops digits that are zero in every element: 1.50, 2.25 → 1.5 , 2.25; 1.0 → "1."
  void shorten(const std::vector<double>& values) {
    int needed = 0;
    for (double v : values) {
      if (v - v != 0) continue;
      const std::string digits = text(v);
      const std::size_t point = digits.find('.'), end = digits.find('e');
      std::size_t last = (end == std::string::npos ? digits.size() : end);
      while (last > point + 1 && digits[last - 1] == '0') --last;
      const int used = static_cast<int>(last - point - 1);
      needed = used > needed ? used : needed;
    }
    precision_ = needed;
  }
  std::string text(double value) const {
    if (value != value) return "nan";
    if (value - value != 0) return value > 0 ? "inf" : "-inf";
    char buffer[400];
    std::snprintf(buffer, sizeof buffer, scientific_ ? "%#.*e" : "%#.*f", precision_, value);
    return buffer;
  }
  /// 1.50 → "1.5 ": zeros at the end say nothing, the blank keeps the points below each other.
  std::string blank_zeros(std::string digits) const {
    for (std::size_t i = digits.size(); !scientific_ && i-- > 0 && digits[i] == '0';)
      digits[i] = ' ';
    return digits;
  }
  bool scientific_ = false;
  int precision_;
  int width_ = 0;
};

/// Positions along a dimension that are shown; −1 stands for "...".
inline std::vector<std::int64_t> shown_positions(std::int64_t size, bool shortened,
                                                 std::int64_t edge) {
  std::vector<std::int64_t> out;
  const bool cut = shortened && size > 2 * edge;
  for (std::int64_t i = 0; i < size; ++i) {
    if (cut && i == edge) {
      out.push_back(-1);
      i = size - edge;
    }
    out.push_back(i);
  }
  return out;
}

template <class T>
void collect_shown(const T* data, const Layout& layout, int dim, bool shortened, std::int64_t edge,
                   std::vector<T>& out) {
  if (dim == layout.shape.rank()) {
    out.push_back(*data);
    return;
  }
  for (std::int64_t i : shown_positions(layout.shape[dim], shortened, edge)) {
    if (i >= 0)
      collect_shown(data + i * layout.strides[dim], layout, dim + 1, shortened, edge, out);
  }
}

template <class Print>
void print_dimension(std::string& out, const Shape& shape, int dim, bool shortened,
                     const PrintOptions& options, int indent, Print&& element) {
  if (dim == shape.rank()) {
    out += element();
    return;
  }
  const bool innermost = dim + 1 == shape.rank();
  out += '[';
  std::size_t line_start = out.rfind('\n') == std::string::npos ? 0 : out.rfind('\n') + 1;
  bool first = true;
  for (std::int64_t i : shown_positions(shape[dim], shortened, options.edge)) {
    std::string piece;
    if (i < 0) {
      piece = "...";
    } else {
      print_dimension(piece, shape, dim + 1, shortened, options, indent + 1, element);
    }
    if (!first && innermost) {
      const bool full =
          out.size() - line_start + piece.size() + 2 > static_cast<std::size_t>(options.line_width);
      out += full ? ",\n" + std::string(static_cast<std::size_t>(indent) + 1, ' ') : ", ";
      if (full) line_start = out.rfind('\n') + 1;
    } else if (!first) {
      out += "," + std::string(static_cast<std::size_t>(shape.rank() - dim - 1), '\n') +
             std::string(static_cast<std::size_t>(indent) + 1, ' ');
    }
    out += piece;
    first = false;
  }
  out += ']';
}

}  // namespace detail

/// The elements as text, in NumPy's form.
template <Element T>
std::string to_string(const Tensor<T>& x, const PrintOptions& options = {}) {
  if (!x.defined()) return "undefined";
  Tensor<T> host = x.detach();
  if (!host.device().is_cpu()) host = from_vector<T>(x.to_vector(), x.shape());
  const bool shortened = host.numel() > options.threshold;
  std::vector<T> shown;
  if (host.numel() > 0)
    detail::collect_shown(host.data(), host.layout(), 0, shortened, options.edge, shown);
  std::vector<std::string> words;
  if constexpr (std::is_same_v<T, bool>) {
    for (const bool v : shown) words.push_back(v ? " True" : "False");
  } else if constexpr (std::is_integral_v<T>) {
    std::size_t width = 0;
    for (const T v : shown) {
      words.push_back(std::to_string(v));
      width = words.back().size() > width ? words.back().size() : width;
    }
    for (std::string& word : words) word.insert(0, width - word.size(), ' ');
  } else {
    std::vector<double> values;
    for (const T v : shown) values.push_back(static_cast<double>(v));
    const detail::ElementFormat format(values, options.precision);
    for (double v : values) words.push_back(format.padded(v));
  }
  std::string out;
  std::size_t next = 0;
  detail::print_dimension(out, host.shape(), 0, shortened, options, 0,
                          [&] { return words[next++]; });
  return out;
}

/// Streams to_string(x); any stream type, so that <iostream> is not needed here.
template <class Stream, Element T>
requires requires(Stream& stream, const std::string& text) { stream << text; }
Stream& operator<<(Stream& stream, const Tensor<T>& x) {
  stream << to_string(x);
  return stream;
}

TANDEM_NAMESPACE_END
