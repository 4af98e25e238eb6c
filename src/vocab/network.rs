//! What a simulated network does to packets, by direction.

use super::{Loss, duration};
use std::fmt;
use std::time::Duration;

/// A network between a caller and its agent; the default one changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkConfig {
    /// Its name in reports: that of a preset, or as the scenario names it.
    pub name: String,
    /// From the caller to the server.
    pub up: LinkConfig,
    /// From the server to the caller.
    pub down: LinkConfig,
}

impl NetworkConfig {
    /// Whether packets pass unchanged.
    pub fn is_clean(&self) -> bool {
        self.up.is_clean() && self.down.is_clean()
    }
}

/// One direction of a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkConfig {
    /// Which packets are lost.
    pub loss: Option<LossModel>,
    /// Only RTP packets are lost, delayed and so on; the rest passes unchanged.
    pub media_only: bool,
    /// Delay of every packet.
    pub delay: Duration,
    /// Variation of the delay.
    pub jitter: Option<Jitter>,
    /// Share of the packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Packets that later ones overtake.
    pub reorder: Option<Reorder>,
    /// The slowest part of the way.
    pub bandwidth: Option<Bandwidth>,
    /// When nothing passes.
    pub outages: Vec<Outage>,
}

impl LinkConfig {
    /// Whether packets pass unchanged.
    pub fn is_clean(&self) -> bool {
        let Self {
            loss,
            media_only: _,
            delay,
            jitter,
            duplicate,
            reorder,
            bandwidth,
            outages,
        } = self;
        loss.is_none_or(|loss| loss.share() == 0.0)
            && delay.is_zero()
            && jitter.is_none()
            && *duplicate == 0.0
            && reorder.is_none()
            && bandwidth.is_none()
            && outages.is_empty()
    }
}

/// Which packets are lost: a chain with a good and a bad state (E. N. Gilbert, *Capacity of a
/// burst-noise channel*, 1960; E. O. Elliott, *Estimates of error rates for codes on burst-noise
/// channels*, 1963). The state changes before each packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossModel {
    /// Probability of the change from good to bad.
    pub enter: f64,
    /// Probability of the change from bad to good.
    pub leave: f64,
    /// Share of the packets that are lost in the good state.
    pub good: f64,
    /// Share of the packets that are lost in the bad state.
    pub bad: f64,
}

impl LossModel {
    /// Share of the packets for which the state is bad.
    pub fn share_bad(self) -> f64 {
        match self.enter + self.leave {
            0.0 => 0.0,
            both => self.enter / both,
        }
    }

    /// Share of the packets that are lost.
    pub fn share(self) -> f64 {
        let bad = self.share_bad();
        bad * self.bad + (1.0 - bad) * self.good
    }
}

impl From<Loss> for LossModel {
    /// In the bad state every packet is lost, in the good state none; independent losses are the
    /// chain in which the next state does not depend on the last one.
    fn from(loss: Loss) -> Self {
        let share = loss.share.clamp(0.0, 1.0);
        let (enter, leave) = match loss.burst {
            None => (share, 1.0 - share),
            Some(_) if share == 1.0 => (1.0, 0.0),
            Some(burst) => {
                let leave = 1.0 / burst.max(1.0);
                (leave * share / (1.0 - share), leave)
            }
        };
        Self {
            enter,
            leave,
            good: 0.0,
            bad: 1.0,
        }
    }
}

/// How much delays vary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// The size of the variation, as [`Distribution`] defines it.
    pub size: Duration,
    /// How it is distributed.
    pub distribution: Distribution,
    /// Correlation of a packet's delay with that of the packet before, 0 up to but not including 1.
    pub correlation: f64,
    /// Packets do not overtake each other: one that would is held until the one before it arrives.
    pub in_order: bool,
}

/// Distribution of the variation of delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Normal: `jitter` is the standard deviation; a total below 0 counts as 0.
    #[default]
    Normal,
    /// Uniform, from `-jitter` to `+jitter`; a total below 0 counts as 0.
    Uniform,
    /// Exponential, never below the delay; `jitter` is the mean of what is added.
    Exponential,
    /// Pareto (Lomax, shape 3), never below the delay; `jitter` is the mean of what is added.
    Pareto,
}

/// Packets that arrive later than their successors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reorder {
    /// Share of the packets, 0 to 1.
    pub share: f64,
    /// How much later they arrive.
    pub by: Duration,
}

/// A bottleneck with a queue in front of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bandwidth {
    /// Bits per second, with the headers of IP and UDP.
    pub rate: u64,
    /// A packet that would wait for longer than this is dropped.
    pub queue: Duration,
}

/// A time in which nothing passes, counted from the moment at which the caller begins to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// The outage happens again after this time.
    pub every: Option<Duration>,
}

impl Outage {
    /// Whether nothing passes this long after the beginning.
    pub fn covers(self, since: Duration) -> bool {
        let Some(since) = since.checked_sub(self.at) else {
            return false;
        };
        let since = match self.every.filter(|every| !every.is_zero()) {
            Some(every) => Duration::from_nanos((since.as_nanos() % every.as_nanos()) as u64),
            None => since,
        };
        since < self.length
    }
}

impl fmt::Display for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.up == self.down {
            true => write!(f, "each way: {}", self.up),
            false => write!(
                f,
                "to the agent: {}; from the agent: {}",
                self.up, self.down
            ),
        }
    }
}

impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.delay.is_zero() {
            parts.push(format!("delay {}", duration::format(self.delay)));
        }
        parts.extend(self.jitter.map(|jitter| jitter.to_string()));
        parts.extend(self.loss.filter(|l| l.share() > 0.0).map(|l| l.to_string()));
        if self.duplicate > 0.0 {
            parts.push(format!("{} twice", percent(self.duplicate)));
        }
        parts.extend(self.reorder.map(|reorder| {
            let by = duration::format(reorder.by);
            format!("{} {by} later than others", percent(reorder.share))
        }));
        parts.extend(self.bandwidth.map(|bandwidth| {
            let rate = bandwidth.rate as f64 / 1e3;
            let queue = duration::format(bandwidth.queue);
            format!("{rate} kbit/s with a queue of {queue}")
        }));
        parts.extend(self.outages.iter().map(|outage| outage.to_string()));
        match parts.as_slice() {
            [] => f.write_str("unchanged"),
            parts => f.write_str(&parts.join(", ")),
        }
    }
}

impl fmt::Display for LossModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lost", percent(self.share()))?;
        // Independent losses have no runs of their own.
        if self.bad < 1.0 || self.good > 0.0 {
            let bad = percent(self.share_bad());
            return write!(f, " ({} in the {bad} of bad times)", percent(self.bad));
        }
        match (self.enter + self.leave - 1.0).abs() < 1e-9 || self.leave == 0.0 {
            true => Ok(()),
            false => write!(f, " in runs of {:.1}", 1.0 / self.leave),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.distribution {
            Distribution::Normal => "normal",
            Distribution::Uniform => "uniform",
            Distribution::Exponential => "exponential",
            Distribution::Pareto => "Pareto",
        };
        write!(f, "jitter {} ({name}", duration::format(self.size))?;
        if self.correlation > 0.0 {
            write!(f, ", correlation {}", percent(self.correlation))?;
        }
        f.write_str(if self.in_order { ", in order)" } else { ")" })
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [at, length] = [self.at, self.length].map(duration::format);
        write!(f, "nothing for {length} from {at} on")?;
        match self.every {
            Some(every) => write!(f, ", again every {}", duration::format(every)),
            None => Ok(()),
        }
    }
}

/// A share in percent, with at most two decimals.
fn percent(share: f64) -> String {
    format!("{}%", (share * 1e4).round() / 1e2)
}
