//! probe
use std::time::Instant;
use fgc_transforms::*;
fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let g = fgc_tests::generate::graph_of(&bytes[2..]);
    println!("{g}");
    let floats = g.bindings().filter(|(v, _, _)| g.ty(*v).dtype.is_float());
    let wrt: Vec<&str> = floats.map(|(_, name, _)| name).collect();
    let t = Instant::now();
    let d = match bytes[0] % 8 { 0 => jvp(&g, &wrt).unwrap(), 1 => grad(&g, &wrt).unwrap(), 2 => hvp(&g, &wrt).unwrap(), 3 => jvp_many(&g, &wrt, 2).unwrap(), 4 => vmap(&g, &wrt, 3).unwrap(), _ => g.clone() };
    println!("derived {} -> {} {:?}", g.len(), d.len(), t.elapsed());
    let d = if bytes[0] / 8 % 4 == 3 { fgc_tests::numeric::graph_to_f64(&d).unwrap() } else { d };
    let t = Instant::now();
    let (o, report) = eqsat::optimise(&d, &eqsat::Limits::default()).unwrap();
    println!("optimised {} {:?} nodes {report:?}", o.len(), t.elapsed());
    let t = Instant::now();
    fgc_codegen::Executable::compile(&o).unwrap();
    println!("compiled {:?}", t.elapsed());
    if std::env::args().nth(2).is_some() { println!("{d}\n{o}"); }
}
