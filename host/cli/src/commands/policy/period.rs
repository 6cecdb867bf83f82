//! Which decisions are compared: read from the command line against what the log knows, and said in words.

use trimtab_log::Reader;
use trimtab_replay::period::Period;
use trimtab_server::Failure;
use trimtab_types::{ModelKey, Timestamp, parse_duration};

use crate::args::PeriodArgs;

/// The period that is asked for; `newest` is the newest time that any log knows.
pub(super) fn read(args: &PeriodArgs, newest: Timestamp, reader: &dyn Reader) -> Result<Period, Failure> {
    let time =
        |flag: &str, text: &Option<String>| text.as_ref().map(|text| time(flag, text, newest)).transpose();
    let period = Period {
        since: time("since", &args.since)?,
        until: time("until", &args.until)?,
        tenant: args.filter.tenant.clone(),
        model: args.filter.model.clone(),
    };
    if period.since.zip(period.until).is_some_and(|(since, until)| since >= until) {
        return Err(Failure::invalid("--since is not before --until; nothing lies between them"));
    }
    known(&period, reader)?;
    Ok(period)
}

/// A time, a date, or a length of time before the log's newest entry.
fn time(flag: &str, text: &str, clock: Timestamp) -> Result<Timestamp, Failure> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(clock.minus(u64::from(ago)));
    }
    Timestamp::parse_or_date(text).map_err(|_| {
        Failure::invalid(format!(
            "--{flag} {text}: is neither a time, such as 2026-01-31 or 2026-01-31T12:00:00Z, nor a length of time, such as 30d"
        ))
    })
}

/// Refuses a model that nobody has heard of.
fn known(period: &Period, reader: &dyn Reader) -> Result<(), Failure> {
    let mut models: Vec<ModelKey> = Vec::new();
    for state in reader.shards()? {
        models.extend(reader.models(state.shard)?);
    }
    let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let of_tenant = || models.iter().filter(|key| is(&period.tenant, &key.tenant));
    let hint = "`trimtab status` shows those that are known";
    if let Some(tenant) = &period.tenant
        && of_tenant().next().is_none()
    {
        return Err(Failure::missing(format!("--tenant {tenant}: no model of this tenant is known; {hint}")));
    }
    if let Some(model) = &period.model
        && !of_tenant().any(|key| key.model == *model)
    {
        return Err(Failure::missing(format!("--model {model}: no model of this name is known; {hint}")));
    }
    Ok(())
}

/// In words, such as `decisions about m from the beginning to 2026-01-31 12:00 UTC`.
pub(super) fn described(period: &Period, clock: Timestamp) -> String {
    let about = match (&period.tenant, &period.model) {
        (None, None) => String::new(),
        (Some(tenant), None) => format!(" about models of `{tenant}`"),
        (None, Some(model)) => format!(" about `{model}`"),
        (Some(tenant), Some(model)) => format!(" about `{model}` of `{tenant}`"),
    };
    let from = period.since.map_or("the beginning".to_owned(), Timestamp::for_people);
    let to = period
        .until
        .map_or_else(|| format!("now ({} by the log's clock)", clock.for_people()), Timestamp::for_people);
    format!("decisions{about} from {from} to {to}")
}
