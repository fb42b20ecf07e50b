#pragma once
/// Pictures drawn from signed distances: d(x, y) < 0 inside a shape, in pixels, so that ½ − d is
/// how much of a pixel it covers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tandem/tensor/tensor.hpp"

namespace miniature {

using namespace tandem;

struct Color {
  float r = 0, g = 0, b = 0;  ///< 0 … 255
};
inline Color blend(const Color& a, const Color& b, double share) {
  const auto s = static_cast<float>(share);
  return {a.r + (b.r - a.r) * s, a.g + (b.g - a.g) * s, a.b + (b.b - a.b) * s};
}

struct Point {
  double x = 0, y = 0;
};
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
inline Point operator*(Point a, double s) { return {a.x * s, a.y * s}; }
inline double length(Point a) { return std::hypot(a.x, a.y); }
/// Turned by `angle` about the origin.
inline Point turned(Point a, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * a.x - s * a.y, s * a.x + c * a.y};
}

/// The distance to a segment, less the radius of the pen.
inline double capsule(Point p, Point a, Point b, double radius) {
  const Point along = b - a, from = p - a;
  const double square = along.x * along.x + along.y * along.y;
  const double t =
      square > 0 ? std::clamp((from.x * along.x + from.y * along.y) / square, 0.0, 1.0) : 0.0;
  return length(from - along * t) - radius;
}
/// The distance to a polygon whose `count` corners lie at radii r0, r1, r0, r1 …: a regular one
/// where they are equal, else a star.
inline double star(Point p, int count, double r0, double r1) {
  double nearest = 1e9;
  bool inside = false;
  const auto corner = [&](int i) {
    const double angle = 2 * M_PI * i / count - M_PI / 2, r = i % 2 == 0 ? r0 : r1;
    return Point{r * std::cos(angle), r * std::sin(angle)};
  };
  for (int i = 0; i < count; ++i) {
    const Point a = corner(i), b = corner(i + 1);
    nearest = std::min(nearest, capsule(p, a, b, 0));
    if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x)
      inside = !inside;
  }
  return inside ? -nearest : nearest;
}
/// The distance to a rectangle of half sides (a, b).
inline double box(Point p, double a, double b) {
  const double x = std::abs(p.x) - a, y = std::abs(p.y) - b;
  return std::hypot(std::max(x, 0.0), std::max(y, 0.0)) + std::min(std::max(x, y), 0.0);
}

/// A picture in floats; bytes() rounds it.
class Canvas {
 public:
  Canvas(std::int64_t height, std::int64_t width)
      : height_(height), width_(width), pixels_(static_cast<std::size_t>(height * width)) {}
  Color& at(std::int64_t y, std::int64_t x) {
    return pixels_[static_cast<std::size_t>(y * width_ + x)];
  }

  /// Paints where distance(p) < ½, p in pixels, within `reach` of the centre.
  template <class Distance>
  void paint(Point centre, double reach, const Color& color, Distance&& distance) {
    const auto low = [](double v) {
      return std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(v)));
    };
    const std::int64_t y1 = std::min(height_, low(centre.y + reach + 2)),
                       x1 = std::min(width_, low(centre.x + reach + 2));
    for (std::int64_t y = low(centre.y - reach - 1); y < y1; ++y) {
      for (std::int64_t x = low(centre.x - reach - 1); x < x1; ++x) {
        const double covered = std::clamp(
            0.5 - distance(Point{static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5}), 0.0,
            1.0);
        if (covered > 0) at(y, x) = blend(at(y, x), color, covered);
      }
    }
  }
  void line(Point a, Point b, double radius, const Color& color) {
    paint((a + b) * 0.5, length(b - a) / 2 + radius, color,
          [&](Point p) { return capsule(p, a, b, radius); });
  }

  /// (H, W, 3)
  Tensor<std::uint8_t> bytes() const {
    Tensor<std::uint8_t> out(Shape{height_, width_, 3});
    std::uint8_t* to = out.mutable_data();
    for (const Color& c : pixels_) {
      for (const float v : {c.r, c.g, c.b})
        *to++ = static_cast<std::uint8_t>(std::clamp(v, 0.0F, 255.0F) + 0.5F);
    }
    return out;
  }

 private:
  std::int64_t height_, width_;
  std::vector<Color> pixels_;
};

}  // namespace miniature
