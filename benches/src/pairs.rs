//! The statistics: medians of paired samples, with intervals that assume nothing of how samples are
//! distributed. Arithmetic only.

/// A number with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The 95 % interval of the median; `None` where there are too few samples for one.
    pub interval: Option<(f64, f64)>,
    /// How many samples.
    pub samples: usize,
}

impl Estimate {
    /// The median of samples, and the order statistics between which the true median lies with a
    /// probability of 95 % at least (the sign test's interval: how many of n samples lie below the
    /// median is binomial with one half). `None` without samples.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let upper_middle = *sorted.get(n / 2)?;
        let median = if n % 2 == 1 { upper_middle } else { (sorted.get(n / 2 - 1)? + upper_middle) / 2.0 };
        let interval =
            left_out(n).and_then(|cut| Some((*sorted.get(cut)?, *sorted.get(n.checked_sub(cut + 1)?)?)));
        Some(Estimate { median, interval, samples: n })
    }
}

/// How many samples may be left out at each end: the largest k for which a binomial count of n with
/// one half is k or less with a probability of 2.5 % at most, less one. `None` below six samples.
fn left_out(n: usize) -> Option<usize> {
    const EACH_SIDE: f64 = 0.025;
    // 2^-n, and from there each term from the one before.
    let mut term = 0.5f64.powi(i32::try_from(n).ok()?);
    let mut below = term;
    let mut cut = None;
    for k in 0..n {
        if below > EACH_SIDE {
            break;
        }
        cut = Some(k);
        term *= (n - k) as f64 / (k + 1) as f64;
        below += term;
    }
    cut
}

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// At most this.
    AtMost(f64),
    /// Nothing: the figure is there to be read.
    None,
}

/// What came of an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval keeps it.
    Holds,
    /// The whole interval breaks it.
    Missed,
    /// The interval crosses it, or there is none.
    NotShown,
    /// There is no aim.
    NoAim,
}

impl Verdict {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Missed => "**missed**",
            Verdict::NotShown => "not shown",
            Verdict::NoAim => "",
        }
    }
}

impl Aim {
    /// Compares an estimate with the aim.
    pub fn judge(self, estimate: &Estimate) -> Verdict {
        match (self, estimate.interval) {
            (Aim::None, _) => Verdict::NoAim,
            (Aim::AtMost(limit), Some((_, high))) if high <= limit => Verdict::Holds,
            (Aim::AtMost(limit), Some((low, _))) if low > limit => Verdict::Missed,
            (Aim::AtMost(_), _) => Verdict::NotShown,
        }
    }

    /// Compares a number that is counted and not estimated.
    pub fn judge_count(self, count: f64) -> Verdict {
        match self {
            Aim::None => Verdict::NoAim,
            Aim::AtMost(limit) if count <= limit => Verdict::Holds,
            Aim::AtMost(_) => Verdict::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // From tables of the sign test, two-sided 5 %: the ranks of the interval's lower end.
        for (n, rank) in [(6, 1), (9, 2), (10, 2), (20, 6), (30, 10), (50, 18), (100, 40)] {
            assert_eq!(left_out(n), Some(rank - 1), "{n}");
        }
        assert_eq!(left_out(5), None);
        assert_eq!(left_out(0), None);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Estimate::of([3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Estimate::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Estimate::of([]), None);
        let thirty = Estimate::of((1..=30).map(f64::from)).unwrap();
        assert_eq!(thirty.interval, Some((10.0, 21.0)));
    }

    #[test]
    fn an_interval_across_the_aim_shows_nothing() {
        let estimate = |low, high| Estimate { median: 1.0, interval: Some((low, high)), samples: 30 };
        assert_eq!(Aim::AtMost(1.3).judge(&estimate(0.9, 1.2)), Verdict::Holds);
        assert_eq!(Aim::AtMost(1.3).judge(&estimate(1.2, 1.4)), Verdict::NotShown);
        assert_eq!(Aim::AtMost(1.3).judge(&estimate(1.35, 1.4)), Verdict::Missed);
        let few = Estimate { median: 1.0, interval: None, samples: 3 };
        assert_eq!(Aim::AtMost(1.3).judge(&few), Verdict::NotShown);
    }
}
