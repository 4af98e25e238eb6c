//! Checks `network`: the directions of simulated networks, and their mix.
//!
//! In: values that passed the schema. Out: the checked part, and problems in the [`Checker`].

use super::checker::Checker;
use super::file_network::{
    BothFile, ChainFile, LinkFile, LogText, NetworkFile, OrderText, OutageFile, Parts, RateText,
};
use super::network::{Networks, ONE};
use super::places::join;
use super::presets;
use super::problem::{Code, clip, did_you_mean};
use super::texts::PercentText;
use crate::vocab::{
    Bandwidth, Jitter, LinkConfig, Loss, LossModel, NetworkConfig, Outage, Reorder,
};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const IN_RANGE: &str = "choose a value in this range";
const SHARE: &str = "write a share, such as `5%`";
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=ms(5_000);
const JITTERS: RangeInclusive<Duration> = Duration::ZERO..=ms(2_000);
const LATER: RangeInclusive<Duration> = ms(1)..=ms(2_000);
const QUEUES: RangeInclusive<Duration> = Duration::ZERO..=ms(10_000);
const OUTAGES: RangeInclusive<Duration> = ms(1)..=ms(600_000);
const STARTS: RangeInclusive<Duration> = Duration::ZERO..=ms(86_400_000);
/// Capacities in bits per second.
const RATES: RangeInclusive<f64> = 1_000.0..=1e9;

/// A data rate in bits per second, as in `64kbit/s` or `1.5Mbit/s`.
fn bits_per_second(text: &str) -> Option<f64> {
    let (number, unit) = match text.strip_suffix("kbit/s") {
        Some(number) => (number, 1e3),
        None => (text.strip_suffix("Mbit/s")?, 1e6),
    };
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let plain = number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(digits);
    Some(number.parse::<f64>().ok().filter(|_| plain)? * unit)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Checker<'_> {
    /// The networks of the calls.
    pub(super) fn networks(&mut self, file: &NetworkFile) -> Networks {
        let at = "/network";
        let flat = self.loss(file.loss.as_ref(), file.burst, at);
        let directed = file.preset.is_some() || file.up.is_some() || file.down.is_some();
        if flat.is_some() && (directed || file.mix.is_some()) {
            let message = "`loss` beside the directions of a network would be lost twice";
            let hint = "move `loss` and `burst` into `down`";
            self.problem_at_key("/network/loss", Code::Contradiction, message, hint);
        }
        if file.networks.is_some() && file.mix.is_none() {
            let message = "`networks` are for `mix`, but there is none";
            let hint = "add `mix` with the share of each network, or write `up` and `down`";
            self.problem_at_key("/network/networks", Code::Contradiction, message, hint);
        }
        let mix = match &file.mix {
            Some(mix) => {
                if directed {
                    let message = "`mix` beside `preset`, `up` or `down`: a call has one network";
                    let hint = "move them into a network of `networks`, and give it a share";
                    self.problem_at_key("/network/mix", Code::Contradiction, message, hint);
                }
                self.mix(mix, file)
            }
            None => {
                let mut network = self.network_of(file.parts(), at);
                if let Some(loss) = flat {
                    network.down = LinkConfig {
                        loss: Some(loss.into()),
                        media_only: true,
                        ..LinkConfig::default()
                    };
                }
                vec![(ONE, Arc::new(network))]
            }
        };
        Networks {
            flat,
            mix: mix.into_iter().filter(|(share, _)| *share > 0).collect(),
            log: file.log == Some(LogText::Keep),
        }
    }

    /// A network of one variant.
    pub(super) fn variant_network(
        &mut self,
        file: Option<&BothFile>,
        at: &str,
    ) -> Option<Arc<NetworkConfig>> {
        Some(Arc::new(self.network_of(file?.parts(), at)))
    }

    fn mix(
        &mut self,
        mix: &BTreeMap<String, Option<PercentText>>,
        file: &NetworkFile,
    ) -> Vec<(u32, Arc<NetworkConfig>)> {
        let own = || file.networks.iter().flatten();
        let mut found = Vec::new();
        for (name, share) in mix {
            let at = join("/network/mix", name);
            let share = self.need(share.as_ref(), &at);
            let share = share.and_then(|share| self.share(share, &at, SHARE));
            let network = match (
                own().find(|(known, _)| *known == name),
                presets::named(name),
            ) {
                (Some((_, both)), _) => {
                    let at = join("/network/networks", name);
                    let both = self.need(both.as_ref(), &at);
                    both.map(|b| self.network_of(b.parts(), &at))
                }
                (None, Some(preset)) => Some(presets::network(preset)),
                (None, None) => {
                    let mut known: Vec<&str> = presets::names().collect();
                    known.extend(own().map(|(name, _)| name.as_str()));
                    let message = format!("there is no network `{name}`");
                    let hint = did_you_mean(name, known, "presets and `networks`");
                    self.problem_at_key(&at, Code::UnknownName, message, hint);
                    None
                }
            };
            if let (Some(share), Some(network)) = (share, network) {
                let named = NetworkConfig {
                    name: name.clone(),
                    ..network
                };
                found.push(((share * f64::from(ONE)).round() as u32, Arc::new(named)));
            }
        }
        let sum: u32 = found.iter().map(|(share, _)| share).sum();
        if found.len() == mix.len() && sum.abs_diff(ONE) > 1 {
            let message = format!(
                "the shares of `mix` add up to {}%, not 100%",
                f64::from(sum) * 100.0 / f64::from(ONE)
            );
            self.problem_at_key("/network/mix", Code::BadValue, message, "change a share");
        }
        for (name, _) in own().filter(|(name, _)| !mix.contains_key(*name)) {
            let message = format!("the network `{name}` has no share in `mix`");
            let hint = "give it a share, or leave it out";
            let at = join("/network/networks", name);
            self.problem_at_key(&at, Code::Contradiction, message, hint);
        }
        found
    }

    fn network_of(&mut self, (preset, up, down): Parts<'_>, at: &str) -> NetworkConfig {
        let base = preset.map(presets::network).unwrap_or_default();
        let up = up.map(|up| self.link(up, &join(at, "up")));
        let down = down.map(|down| self.link(down, &join(at, "down")));
        NetworkConfig {
            name: base.name,
            up: up.unwrap_or(base.up),
            down: down.unwrap_or(base.down),
        }
    }

    fn link(&mut self, file: &LinkFile, at: &str) -> LinkConfig {
        let simple = self.loss(file.loss.as_ref(), file.burst, at);
        let chain = file.gilbert_elliott.as_ref();
        if simple.is_some() && chain.is_some() {
            let message = "a direction has either `loss` or `gilbert_elliott`, not both";
            let hint = "leave one of them out";
            self.problem_at_key(&join(at, "loss"), Code::Contradiction, message, hint);
        }
        let chain = chain.and_then(|chain| self.chain(chain, &join(at, "gilbert_elliott")));
        let delay = join(at, "delay");
        let delay = self.duration_within(
            file.delay.as_ref(),
            &delay,
            Duration::ZERO,
            &DELAYS,
            IN_RANGE,
        );
        LinkConfig {
            loss: chain.or(simple.map(LossModel::from)),
            media_only: false,
            delay: delay.unwrap_or_default(),
            jitter: self.jitter(file, at),
            duplicate: self.part(file.duplicate.as_ref(), &join(at, "duplicate")),
            reorder: self.reorder(file, at),
            bandwidth: self.bandwidth(file, at),
            outages: self.outages(file.outages.as_deref().unwrap_or_default(), at),
        }
    }

    /// A share that is 0 unless it is set.
    fn part(&mut self, file: Option<&PercentText>, at: &str) -> f64 {
        file.and_then(|share| self.share(share, at, SHARE))
            .unwrap_or_default()
    }

    /// Refuses the settings among `keys` that are set, if the one that they belong to is not.
    fn need_for(&mut self, at: &str, other: (&str, bool), keys: &[(&str, bool)]) {
        let (other, other_is_set) = other;
        if other_is_set || self.is_unset(&join(at, other)) {
            return;
        }
        for (key, _) in keys.iter().filter(|(_, is_set)| *is_set) {
            let message = format!("`{key}` has no effect without `{other}`");
            let hint = format!("set `{other}` too, or leave it out");
            self.problem_at_key(&join(at, key), Code::Contradiction, message, hint);
        }
    }

    fn jitter(&mut self, file: &LinkFile, at: &str) -> Option<Jitter> {
        let keys = [
            ("distribution", file.distribution.is_some()),
            ("correlation", file.correlation.is_some()),
            ("order", file.order.is_some()),
        ];
        self.need_for(at, ("jitter", file.jitter.is_some()), &keys);
        let jitter = file.jitter.as_ref()?;
        let at_jitter = join(at, "jitter");
        let size =
            self.duration_within(Some(jitter), &at_jitter, Duration::ZERO, &JITTERS, IN_RANGE)?;
        let at_correlation = join(at, "correlation");
        let correlation = self.part(file.correlation.as_ref(), &at_correlation);
        if correlation > 0.999 {
            let message = "`correlation` is at most 99.9%: otherwise the delay never changes";
            let hint = "choose a smaller correlation, or leave out `jitter`";
            self.problem(&at_correlation, Code::BadValue, message, hint);
            return None;
        }
        (!size.is_zero()).then(|| Jitter {
            size,
            distribution: file.distribution.unwrap_or_default(),
            correlation,
            in_order: file.order != Some(OrderText::Free),
        })
    }

    fn reorder(&mut self, file: &LinkFile, at: &str) -> Option<Reorder> {
        let keys = [("reorder_by", file.reorder_by.is_some())];
        self.need_for(at, ("reorder", file.reorder.is_some()), &keys);
        let share = self.part(file.reorder.as_ref(), &join(at, "reorder"));
        let at_by = join(at, "reorder_by");
        let by =
            self.duration_within(file.reorder_by.as_ref(), &at_by, ms(50), &LATER, IN_RANGE)?;
        (share > 0.0).then_some(Reorder { share, by })
    }

    fn bandwidth(&mut self, file: &LinkFile, at: &str) -> Option<Bandwidth> {
        let keys = [("queue", file.queue.is_some())];
        self.need_for(at, ("bandwidth", file.bandwidth.is_some()), &keys);
        let RateText(text) = file.bandwidth.as_ref()?;
        let rate = bits_per_second(text).filter(|rate| RATES.contains(rate));
        if rate.is_none() {
            let message = format!("`bandwidth` cannot be `{}`", clip(text));
            let hint = "rates look like `64kbit/s` or `1.5Mbit/s`, from 1kbit/s to 1000Mbit/s";
            self.problem(&join(at, "bandwidth"), Code::BadValue, message, hint);
        }
        let at_queue = join(at, "queue");
        let queue =
            self.duration_within(file.queue.as_ref(), &at_queue, ms(200), &QUEUES, IN_RANGE)?;
        let rate = rate? as u64;
        Some(Bandwidth { rate, queue })
    }

    fn outages(&mut self, file: &[Option<OutageFile>], at: &str) -> Vec<Outage> {
        let mut outages = Vec::new();
        for (index, outage) in file.iter().enumerate() {
            let at = join(&join(at, "outages"), &index.to_string());
            outages.extend(
                self.need(outage.as_ref(), &at)
                    .and_then(|o| self.outage(o, &at)),
            );
        }
        outages
    }

    fn outage(&mut self, file: &OutageFile, at: &str) -> Option<Outage> {
        let (at_start, at_length) = (join(at, "at"), join(at, "length"));
        let start = self.needed_duration(file.at.as_ref(), &at_start, &STARTS, IN_RANGE)?;
        let length = self.needed_duration(file.length.as_ref(), &at_length, &OUTAGES, IN_RANGE)?;
        let at_every = join(at, "every");
        let every = match &file.every {
            None => None,
            every => Some(self.needed_duration(every.as_ref(), &at_every, &STARTS, IN_RANGE)?),
        };
        if every.is_some_and(|every| every <= length) {
            let message = "an outage that begins again before it is over never ends";
            let hint = "make `every` longer than `length`";
            self.problem(&at_every, Code::Contradiction, message, hint);
            return None;
        }
        Some(Outage {
            at: start,
            length,
            every,
        })
    }

    fn chain(&mut self, file: &ChainFile, at: &str) -> Option<LossModel> {
        let (at_enter, at_leave) = (join(at, "enter"), join(at, "leave"));
        let enter = self.need(file.enter.as_ref(), &at_enter)?;
        let leave = self.need(file.leave.as_ref(), &at_leave)?;
        let model = LossModel {
            enter: self.share(enter, &at_enter, SHARE)?,
            leave: self.share(leave, &at_leave, SHARE)?,
            good: self.part(file.good.as_ref(), &join(at, "good")),
            bad: match &file.bad {
                Some(bad) => self.share(bad, &join(at, "bad"), SHARE)?,
                None => 1.0,
            },
        };
        if model.leave == 0.0 {
            let message = "`leave` must be more than 0%: otherwise the bad state never ends";
            let hint = "its inverse is the mean number of packets in the bad state";
            self.problem(&at_leave, Code::BadValue, message, hint);
            return None;
        }
        Some(model)
    }

    /// A loss in the simple form; `None` if no packets are lost, or if the settings are invalid.
    fn loss(&mut self, loss: Option<&PercentText>, burst: Option<f64>, at: &str) -> Option<Loss> {
        let (at_loss, at_burst) = (join(at, "loss"), join(at, "burst"));
        let share = match loss {
            Some(share) => self.share(
                share,
                &at_loss,
                "write the share of packets to lose, such as `5%`",
            )?,
            None => 0.0,
        };
        if let Some(burst) = burst {
            if loss.is_none() && !self.is_unset(&at_loss) {
                let message = "`burst` sets how packets are lost, but none are";
                let hint = "set `loss` too, or leave it out";
                self.problem_at_key(&at_burst, Code::Contradiction, message, hint);
                return None;
            }
            // Between two bursts, at least one packet gets through.
            let most = burst / (burst + 1.0);
            if share > most {
                let text = loss.map(|l| l.0.as_str()).unwrap_or_default();
                let message = format!(
                    "bursts of {burst} packets cannot lose {text}: at least one gets through in between",
                );
                let hint = format!("lose at most {:.1}%, or leave out `burst`", most * 100.0);
                self.problem(&at_burst, Code::Contradiction, message, hint);
                return None;
            }
        }
        (share > 0.0).then_some(Loss { share, burst })
    }
}
