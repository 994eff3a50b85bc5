//! The types of a component's functions, read once, with the names that JSON uses.
//!
//! JSON names are the WIT names in snake_case. wasmtime's own type handles stay out of the conversion: a `Shape` is plain
//! data, made at load time and shared by all calls.

use wasmtime::component::Type;

/// A type as the converters need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Bool,
    Int(Int),
    F32,
    F64,
    Char,
    String,
    /// `list<u8>`: base64 in JSON.
    Bytes,
    List(Box<Shape>),
    FixedList(Box<Shape>, u32),
    Map(Box<Shape>, Box<Shape>),
    Record(Vec<Field>),
    Tuple(Vec<Shape>),
    Variant(Vec<Case>),
    Enum(Vec<Name>),
    Option(Box<Shape>),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
    Flags(Vec<Name>),
}

/// The integer types of the component model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Int {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

/// A name in both spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) wit: String,
    pub(crate) json: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) name: Name,
    pub(crate) payload: Option<Shape>,
}

impl Name {
    pub(crate) fn new(wit: &str) -> Self {
        Self { wit: wit.to_owned(), json: wit.replace('-', "_") }
    }
}

/// Why a function cannot be called with JSON.
pub(crate) type Unsupported = &'static str;

/// A type that is small in the binary can unfold to an enormous tree; this bounds the tree of one function,
const MAX_NODES: usize = 20_000;
/// and this those of all functions of a component together. A name counts as one node for each of its 64 bytes.
const MAX_NODES_IN_ALL: usize = 200_000;
const BYTES_A_NODE: usize = 64;
/// Each value of a type is made with the names in it, and each message may list them.
const MAX_NAME_BYTES: usize = 256;
/// Types are read, written as schemas and converted by recursion; this bounds the host's stack.
const MAX_DEPTH: usize = 100;

/// Counts nodes and depth while shapes are made.
#[derive(Default)]
pub(crate) struct Budget {
    function: usize,
    all: usize,
    depth: usize,
}

impl Budget {
    /// A new function's count begins.
    pub(crate) fn next_function(&mut self) {
        self.function = 0;
        self.depth = 0;
    }

    /// A node of the tree begins.
    pub(crate) fn enter(&mut self) -> Result<(), Unsupported> {
        if self.depth > MAX_DEPTH {
            return Err("its types are nested too deeply");
        }
        self.take(1)?;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    /// A node of the tree ends.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The name of a field, a case or a flag. A type is told from a stranger's bytes once, and copied for each place where
    /// it is used: names count like nodes.
    pub(crate) fn name(&mut self, name: &str) -> Result<(), Unsupported> {
        if name.len() > MAX_NAME_BYTES {
            return Err("a name in its types is longer than 256 bytes");
        }
        self.take(name.len().div_ceil(BYTES_A_NODE))
    }

    fn take(&mut self, nodes: usize) -> Result<(), Unsupported> {
        self.function = self.function.saturating_add(nodes);
        self.all = self.all.saturating_add(nodes);
        if self.function > MAX_NODES || self.all > MAX_NODES_IN_ALL {
            return Err("its types are too large");
        }
        Ok(())
    }
}

impl Name {
    fn read(wit: &str, budget: &mut Budget) -> Result<Self, Unsupported> {
        budget.name(wit)?;
        Ok(Self::new(wit))
    }
}

impl Shape {
    pub(crate) fn read(ty: &Type, budget: &mut Budget) -> Result<Self, Unsupported> {
        budget.enter()?;
        let shape = Self::unfold(ty, budget);
        budget.leave();
        shape
    }

    fn unfold(ty: &Type, budget: &mut Budget) -> Result<Self, Unsupported> {
        let mut boxed = |ty: &Type| Self::read(ty, budget).map(Box::new);
        Ok(match ty {
            Type::Bool => Self::Bool,
            Type::S8 => Self::Int(Int::S8),
            Type::U8 => Self::Int(Int::U8),
            Type::S16 => Self::Int(Int::S16),
            Type::U16 => Self::Int(Int::U16),
            Type::S32 => Self::Int(Int::S32),
            Type::U32 => Self::Int(Int::U32),
            Type::S64 => Self::Int(Int::S64),
            Type::U64 => Self::Int(Int::U64),
            Type::Float32 => Self::F32,
            Type::Float64 => Self::F64,
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::List(list) if list.ty() == Type::U8 => Self::Bytes,
            Type::List(list) => Self::List(boxed(&list.ty())?),
            Type::FixedLengthList(list) => Self::FixedList(boxed(&list.ty())?, list.len()),
            Type::Map(map) => {
                let key = boxed(&map.key())?;
                Self::Map(key, boxed(&map.value())?)
            }
            Type::Record(record) => Self::Record(
                record
                    .fields()
                    .map(|f| {
                        Ok(Field { name: Name::read(f.name, budget)?, shape: Self::read(&f.ty, budget)? })
                    })
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Tuple(tuple) => {
                Self::Tuple(tuple.types().map(|ty| Self::read(&ty, budget)).collect::<Result<_, _>>()?)
            }
            Type::Variant(variant) => Self::Variant(
                variant
                    .cases()
                    .map(|case| {
                        let name = Name::read(case.name, budget)?;
                        let payload = case.ty.map(|ty| Self::read(&ty, budget)).transpose()?;
                        Ok(Case { name, payload })
                    })
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Enum(cases) => Self::Enum(read_names(cases.names(), budget)?),
            Type::Option(option) => Self::Option(boxed(&option.ty())?),
            Type::Result(result) => {
                let ok = result.ok().map(|ty| boxed(&ty)).transpose()?;
                Self::Result(ok, result.err().map(|ty| boxed(&ty)).transpose()?)
            }
            Type::Flags(flags) => Self::Flags(read_names(flags.names(), budget)?),
            Type::Own(_) | Type::Borrow(_) => {
                return Err("it takes or gives a resource, which JSON cannot carry");
            }
            Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
                return Err("it takes or gives a stream or future, which JSON cannot carry");
            }
        })
    }

    /// Whether a value of this type may be left out of a record: only an option may.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self, Self::Option(_))
    }

    /// The type in words, as error messages name it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Int(int) => {
                let (min, max) = int.range();
                format!("a whole number from {min} to {max}")
            }
            Self::F32 => "a number (32-bit float)".into(),
            Self::F64 => "a number".into(),
            Self::Char => "a string of one character".into(),
            Self::String => "a string".into(),
            Self::Bytes => "bytes as a base64 string".into(),
            Self::List(_) => "a list".into(),
            Self::FixedList(_, len) => format!("a list of {len}"),
            Self::Map(..) => "a map".into(),
            Self::Record(_) => "an object".into(),
            Self::Tuple(shapes) => format!("a list of {}", shapes.len()),
            Self::Variant(cases) => {
                format!("one of {}", names(cases.iter().map(|c| &c.name)))
            }
            Self::Enum(cases) => format!("one of {}", names(cases)),
            Self::Option(inner) => format!("{} or null", inner.describe()),
            Self::Result(..) => r#"{"ok": …} or {"err": …}"#.into(),
            Self::Flags(flags) => format!("a list of some of {}", names(flags)),
        }
    }
}

fn read_names<'n>(
    names: impl Iterator<Item = &'n str>,
    budget: &mut Budget,
) -> Result<Vec<Name>, Unsupported> {
    names.map(|name| Name::read(name, budget)).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let all: Vec<&str> = names.into_iter().take(20).map(|n| n.json.as_str()).collect();
    all.join(", ")
}

impl Int {
    /// The least and the greatest value.
    pub(crate) fn range(self) -> (i128, i128) {
        match self {
            Self::S8 => (i8::MIN.into(), i8::MAX.into()),
            Self::U8 => (0, u8::MAX.into()),
            Self::S16 => (i16::MIN.into(), i16::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::S32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::S64 => (i64::MIN.into(), i64::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
        }
    }
}
