//! `fgc data`: fetches and shows data sets.

use fgc::{Options, models};
use fgc_train::data::fetch::{self, Got, Tools};
use fgc_train::data::{registry, show};
use fgc_train::training::{fitted, read_data};

use crate::args::Data;
use crate::failure::{self, Done, input};

pub fn data(args: &Data, quiet: bool) -> Done {
    let say = |text: &str| {
        if !quiet {
            failure::say(text);
        }
    };
    match args {
        Data::Get { set, folder } => {
            let known =
                registry::find(set).ok_or_else(|| input(format_args!("`{set}` isn't a known data set")))?;
            let got = fetch::get(known, folder.path(), &Tools::default(), &mut |text| {
                say(&format!("{set}: {text}"))
            });
            let path = folder.path().join(known.name);
            match got.map_err(input)? {
                Got::Fetched => say(&format!("{set}: fetched and verified: {}", path.display())),
                Got::AlreadyThere => say(&format!("{set}: already there, and verified: {}", path.display())),
            }
            Ok(())
        }
        Data::Show { set, model, consts, fit, folder } => {
            let mut text = show::describe(set, folder.path()).map_err(input)?;
            if let Some(model) = model {
                let options = Options { set: consts.clone(), ..Options::default() };
                let model = models::find(model)?.load(&options)?;
                let settings = fit.settings(set, folder)?;
                let data = read_data(&settings)?;
                text.push_str(&show::describe_fit(&fitted(&model, &data, &settings.fit()?)?));
            }
            failure::print(&text)
        }
    }
}
