//! Tails of the binomial and of Student's t distribution, from the incomplete beta function.
//!
//! In: counts (not necessarily whole) and probabilities. Out: probabilities and quantiles.
//! Invariants: accurate to about 1e-10 up to a million samples; no result is out of range.

/// ln Γ(x) for x > 0: Stirling's series (Abramowitz & Stegun, 6.1.41) after a shift upwards.
fn ln_gamma(x: f64) -> f64 {
    /// From this value on, the first five terms of the series are accurate to the last few bits.
    const LARGE: f64 = 12.0;
    let mut shift = 1.0;
    let mut x = x;
    while x < LARGE {
        shift *= x;
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0
            - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square)
            / square)
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift.ln()
}

/// The regularised incomplete beta function I_x(a, b), for a, b > 0 and x in 0..=1.
pub(super) fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges quickly on this side of the mean; the other side is the complement.
    let value = if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(x, a, b) / a
    } else {
        1.0 - front * continued_fraction(1.0 - x, b, a) / b
    };
    value.clamp(0.0, 1.0)
}

/// Continued fraction 26.5.8 of Abramowitz & Stegun, evaluated forwards (modified Lentz). Takes
/// O(√(a + b)) steps.
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    const STEPS: usize = 100_000;
    const TINY: f64 = 1e-300;
    let away_from_zero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..STEPS {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            factor = c * d;
            value *= factor;
        }
        // A factor that is no number stays so, and must not take all steps.
        if factor.is_nan() || (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

/// The x with I_x(a, b) = `p`, by bisection.
pub(super) fn inverse_beta(p: f64, a: f64, b: f64) -> f64 {
    /// Enough halvings for the two ends to become neighbouring floats in every use here.
    const HALVINGS: usize = 60;
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// P(X ≤ `k`) of a binomial (`n`, `p`), extended continuously to fractional `n` and `k`.
pub(super) fn at_most(k: f64, n: f64, p: f64) -> f64 {
    if k < 0.0 {
        0.0
    } else if k >= n {
        1.0
    } else {
        incomplete_beta(1.0 - p, n - k, k + 1.0)
    }
}

/// P(X ≥ `k`) of a binomial, extended like [`at_most`].
pub(super) fn at_least(k: f64, n: f64, p: f64) -> f64 {
    if k <= 0.0 {
        1.0
    } else if k > n {
        0.0
    } else {
        incomplete_beta(p, k, n - k + 1.0)
    }
}

/// The t with P(T > t) = `tail` (below ½) for Student's t with `freedom` degrees of freedom.
pub(super) fn student_t(tail: f64, freedom: f64) -> f64 {
    let x = inverse_beta(2.0 * tail, freedom / 2.0, 0.5);
    (freedom * (1.0 - x) / x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_matches_logarithms_of_factorials() {
        let mut exact = 0.0;
        for n in 1..=200_u32 {
            exact += f64::from(n).ln();
            let found = ln_gamma(f64::from(n) + 1.0);
            assert!((found - exact).abs() < 1e-11 * exact.max(1.0), "{n}");
        }
        let half = 0.5 * std::f64::consts::PI.ln();
        assert!((ln_gamma(0.5) - half).abs() < 1e-14);
    }

    #[test]
    fn binomial_tails_are_the_sums_of_their_terms() {
        for (n, p) in [
            (1_u32, 0.5),
            (10, 0.05),
            (59, 0.95),
            (100, 0.5),
            (300, 0.01),
        ] {
            let q: f64 = 1.0 - p;
            let mut term = q.powi(n as i32);
            let mut sum = 0.0;
            for k in 0..=n {
                let (whole, size) = (f64::from(k), f64::from(n));
                assert!(
                    (at_least(whole, size, p) - (1.0 - sum)).abs() < 1e-11,
                    "{n} {p} {k}"
                );
                sum += term;
                assert!((at_most(whole, size, p) - sum).abs() < 1e-11, "{n} {p} {k}");
                term *= (size - whole) / (whole + 1.0) * p / q;
            }
        }
        assert_eq!(
            (at_most(-0.5, 9.0, 0.5), at_least(9.5, 9.0, 0.5)),
            (0.0, 0.0)
        );
        assert_eq!(
            (at_most(9.0, 9.0, 0.5), at_least(0.0, 9.0, 0.5)),
            (1.0, 1.0)
        );
    }

    #[test]
    fn binomial_tails_are_accurate_for_a_million_samples() {
        // The lower tail of a symmetric binomial and half of its middle term add up to one half.
        let n = 1e6;
        let half =
            at_most(499_999.0, n, 0.5) + 0.5 * (at_most(5e5, n, 0.5) - at_most(499_999.0, n, 0.5));
        assert!((half - 0.5).abs() < 1e-9, "{half}");
        let middle = (2.0 / (std::f64::consts::PI * n)).sqrt();
        let found = at_most(5e5, n, 0.5) - at_most(499_999.0, n, 0.5);
        assert!((found / middle - 1.0).abs() < 1e-4, "{found}");
    }

    #[test]
    fn student_quantiles_match_printed_tables() {
        for (tail, freedom, t) in [
            (0.025, 1.0, 12.706),
            (0.025, 9.0, 2.262),
            (0.05, 4.0, 2.132),
            (0.025, 39.0, 2.023),
            (0.05, 1e6, 1.645),
        ] {
            let found = student_t(tail, freedom);
            assert!((found - t).abs() < 6e-4, "{tail} {freedom}: {found}");
        }
    }
}
