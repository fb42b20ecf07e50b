#pragma once
/// The log odds of a softmax's classes, and their gradient, from what the entries of a row s have
/// in common:
///
///   l_c  = s_c − log Σ_{j≠c} e^{s_j}
///   ds_j = g_j − e_j·Σ_{c≠j} g_c/r_c,   e_j = e^{s_j}, r_c = Σ_{i≠c} e_i
///
/// Every sum is relative to the largest entry that it has. For the one that is the largest alone,
/// that is the second: the sum of the others is not lost behind it however far they lie, and its
/// odds need no bound. All other sums contain the largest one's 1. Entries of −∞ take no part:
/// their odds are −∞, they pull nothing, and the odds of one that has only such beside it are +∞.
/// (A row of −∞ only is one of equal entries.)

#include <cmath>

#include "tandem/formula/number.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

/// Filled in three walks over the row: `top`; look() at each entry, whose `tops` are added up and
/// whose `second` is the largest; share() of each, added up in `below`. Then finish().
template <class C>
struct LogOdds {
  C top = static_cast<C>(-INFINITY);     ///< the largest entry
  C tops = 0;                            ///< how many are
  C second = static_cast<C>(-INFINITY);  ///< the largest of the others
  C below = 0;                           ///< their Σ e^{s − second}
  C scale = 0, small = 0;                ///< e^{second − top}, and their Σ e^{s − top}
  C pull = 0;                            ///< of the gradient: g_c/below of the one alone

  TANDEM_FORMULA void look(C s) {
    if (s == top) {
      tops += 1;
    } else {
      second = max_nan(second, s);
    }
  }
  /// e^{s − second} of an entry below the top, 0 of one there.
  TANDEM_FORMULA C share(C s) const {
    return s == top || s == static_cast<C>(-INFINITY) ? C(0) : exp(s - second);
  }
  TANDEM_FORMULA void finish() {
    scale = below > 0 ? exp(second - top) : C(0);
    small = below * scale;
  }
  /// Whether s is the only largest one.
  TANDEM_FORMULA bool alone(C s) const { return s == top && tops == 1; }
  /// Σ_{i≠c} e^{s_i − top} for an entry that is not alone.
  TANDEM_FORMULA C rest(C s, C share) const {
    return s == top ? tops - 1 + small : tops + small - share * scale;
  }
  /// l of an entry.
  TANDEM_FORMULA C odds(C s, C share) const {
    if (alone(s)) return below > 0 ? top - second - log(below) : static_cast<C>(INFINITY);
    return (s == top ? C(0) : s - top) - log(rest(s, share));
  }
  /// ds of an entry with the gradient g; `shares`: Σ g_c/r_c of those that are not alone.
  TANDEM_FORMULA C gradient(C s, C share, C g, C shares) const {
    if (alone(s)) return g - shares;
    const C e = s == top ? C(1) : share * scale;
    return g - e * (shares - g / rest(s, share)) - share * pull;
  }
};

}  // namespace formula
TANDEM_NAMESPACE_END
