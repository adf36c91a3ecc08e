//! Instruction sets: which of them the CPU has, and for which this process compiles.

use std::fmt;
use std::sync::OnceLock;

/// The environment variable that names an instruction set.
const VARIABLE: &str = "FGC_ISA";

/// An instruction set that there are micro-kernels for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// 128-bit vectors, of any CPU.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// All of them, the widest last.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Isa::Portable => true,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Isa::Portable;
    }

    /// The widest that this CPU has.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// The one that this process compiles for: that which the environment variable `FGC_ISA`
    /// names, or else the best. Sums are rounded in an order that depends on it, so by the name
    /// CPUs that differ have the same bits.
    ///
    /// # Errors
    /// There is none of that name, or the CPU doesn't have it.
    pub fn chosen() -> Result<Isa, String> {
        static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
        let choose = || match std::env::var_os(VARIABLE) {
            None => Ok(Isa::best()),
            Some(name) => Isa::named(&name.to_string_lossy()).map_err(|e| format!("{VARIABLE}: {e}")),
        };
        CHOSEN.get_or_init(choose).clone()
    }

    /// The one of a name, if the CPU has it.
    fn named(name: &str) -> Result<Isa, String> {
        let isa = Isa::ALL.into_iter().find(|isa| isa.to_string() == name).ok_or_else(|| {
            let names = Isa::ALL.map(|isa| format!("`{isa}`")).join(", ");
            format!("there is no instruction set `{name}`, only {names}")
        })?;
        if isa.is_available() { Ok(isa) } else { Err(format!("this CPU doesn't have `{isa}`")) }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}
