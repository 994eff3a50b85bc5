//! Makes a component of any bytes: types that use each other, functions of them, imports, names, a manifest.

use arbitrary::{Arbitrary, Result, Unstructured};
use wasm_encoder::{
    CanonicalOption, CodeSection, ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType,
    ConstExpr, CustomSection, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    InstanceType, MemorySection, MemoryType, Module, PrimitiveValType, TypeBounds, TypeSection, ValType,
};

/// The most parameters or results that are not passed through memory, as the canonical ABI says.
const MAX_FLAT_PARAMS: usize = 16;
const MAX_FLAT_RESULTS: usize = 1;

/// The most bytes of the names of one type: more than the host takes, and few enough that types made of it are compared in time.
const MAX_NAMES_BYTES: usize = 2 << 10;

const IMPORTS: [&str; 10] = [
    "wasi:io/error@0.2.6",
    "wasi:http/types@0.2.6",
    "wasi:http/outgoing-handler@0.2.6",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:sockets/tcp@0.2.6",
    "wasi:filesystem/types@0.2.3",
    "factotum:host/mail-out@0.1.0",
    "factotum:host/run-context@0.1.0",
    "factotum:types/faults@0.1.0",
];

const PRIMITIVES: [(PrimitiveValType, &[ValType]); 13] = [
    (PrimitiveValType::Bool, &[ValType::I32]),
    (PrimitiveValType::S8, &[ValType::I32]),
    (PrimitiveValType::U8, &[ValType::I32]),
    (PrimitiveValType::S16, &[ValType::I32]),
    (PrimitiveValType::U16, &[ValType::I32]),
    (PrimitiveValType::S32, &[ValType::I32]),
    (PrimitiveValType::U32, &[ValType::I32]),
    (PrimitiveValType::S64, &[ValType::I64]),
    (PrimitiveValType::U64, &[ValType::I64]),
    (PrimitiveValType::F32, &[ValType::F32]),
    (PrimitiveValType::F64, &[ValType::F64]),
    (PrimitiveValType::Char, &[ValType::I32]),
    (PrimitiveValType::String, &[ValType::I32, ValType::I32]),
];

/// A type, and the core values it is passed as; `None` for more than any function passes.
#[derive(Clone)]
struct Made {
    ty: ComponentValType,
    flat: Option<Vec<ValType>>,
}

/// The component. Bytes that run out make it smaller; it may still be one that the engine refuses.
pub fn component(data: &[u8]) -> Vec<u8> {
    let mut builder = ComponentBuilder::default();
    let mut u = Unstructured::new(data);
    // What was made until the bytes were used up is a component too.
    let _ = fill(&mut builder, &mut u);
    builder.finish()
}

fn fill(b: &mut ComponentBuilder, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=3_u8)? {
        let name = if u.ratio(1, 8)? { word(u)? } else { (*u.choose(&IMPORTS)?).to_owned() };
        let ty = b.type_instance(None, &InstanceType::new());
        b.import(name.as_str(), ComponentTypeRef::Instance(ty));
    }
    if u.ratio(1, 8)? {
        let length = usize::from(u8::arbitrary(u)?).min(u.len());
        let manifest: &[u8] = u.bytes(length)?;
        b.custom_section(&CustomSection { name: "factotum:manifest".into(), data: manifest.into() });
    }
    let types = types(b, u)?;
    let mut functions = Vec::new();
    for _ in 0..=u.int_in_range(0..=3_u8)? {
        let mut params = Vec::new();
        for _ in 0..u.int_in_range(0..=4_u8)? / 2 {
            params.push(pick(&types, u)?);
        }
        let result = if u.ratio(7, 8)? { Some(pick(&types, u)?) } else { None };
        functions.push((params, result));
    }
    let length = u.len().min(2048);
    let memory = u.bytes(length)?;
    let module = core_module(&functions, memory);
    let module = b.core_module(None, &module);
    let instance = b.core_instantiate(None, module, []);
    let memory = b.core_alias_export(None, instance, "memory", ExportKind::Memory);
    let realloc = b.core_alias_export(None, instance, "realloc", ExportKind::Func);
    for (at, (params, result)) in functions.iter().enumerate() {
        let core = b.core_alias_export(None, instance, &format!("f{at}"), ExportKind::Func);
        let (ty, mut encoder) = b.type_function(None);
        let names: Vec<String> = (0..params.len()).map(|at| format!("p{at}")).collect();
        encoder.params(names.iter().map(String::as_str).zip(params.iter().map(|made| made.ty)));
        encoder.result(result.as_ref().map(|made| made.ty));
        let options =
            [CanonicalOption::UTF8, CanonicalOption::Memory(memory), CanonicalOption::Realloc(realloc)];
        let lifted = b.lift_func(None, core, ty, options);
        b.export(format!("f{at}").as_str(), ComponentExportKind::Func, lifted, None);
    }
    Ok(())
}

/// A word that may be a name; long ones from few bytes.
fn word(u: &mut Unstructured<'_>) -> Result<String> {
    let letter = char::from(u.int_in_range(b'a'..=b'z')?);
    let length = match u.int_in_range(0..=15_u8)? {
        0 => usize::from(u16::arbitrary(u)?),
        few => usize::from(few),
    };
    Ok(letter.to_string().repeat(length.max(1)))
}

fn words(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let count = match u.int_in_range(0..=15_u8)? {
        0 => usize::from(u8::arbitrary(u)?),
        few => usize::from(few) % 4,
    };
    let mut word = word(u)?;
    // Many long names would only make a large component, whose validation takes its time.
    word.truncate(MAX_NAMES_BYTES / (count + 1));
    Ok((0..=count).map(|at| format!("{word}{at}")).collect())
}

fn pick(types: &[Made], u: &mut Unstructured<'_>) -> Result<Made> {
    // The newest is the largest.
    if let Some(last) = types.last()
        && u.ratio(1, 2)?
    {
        return Ok(last.clone());
    }
    if !types.is_empty() && u.ratio(1, 2)? {
        return Ok(u.choose(types)?.clone());
    }
    let (primitive, flat) = u.choose(&PRIMITIVES)?;
    Ok(Made { ty: ComponentValType::Primitive(*primitive), flat: Some(flat.to_vec()) })
}

fn types(b: &mut ComponentBuilder, u: &mut Unstructured<'_>) -> Result<Vec<Made>> {
    let mut types: Vec<Made> = Vec::new();
    for at in 0..u.int_in_range(0..=40_u8)? {
        let kind = u.int_in_range(0..=8_u8)?;
        let mut parts = Vec::new();
        let mut name = Vec::new();
        match kind {
            0 | 5 | 6 => parts.push(pick(&types, u)?),
            1 => {
                let part = pick(&types, u)?;
                parts = vec![part; usize::from(u8::arbitrary(u)? % 64) + 1];
            }
            2 | 3 => {
                name = words(u)?;
                let part = pick(&types, u)?;
                parts = vec![part; name.len()];
                if let Some(last) = parts.last_mut() {
                    *last = pick(&types, u)?;
                }
            }
            4 => parts = vec![pick(&types, u)?, pick(&types, u)?],
            _ => name = words(u)?,
        }
        if kind == 8 {
            name.truncate(32);
        }
        let (mut index, encoder) = b.type_defined(None);
        let named = || name.iter().map(String::as_str);
        let flat = match kind {
            0 => {
                encoder.list(parts[0].ty);
                Some(vec![ValType::I32; 2])
            }
            1 => {
                encoder.tuple(parts.iter().map(|part| part.ty));
                concat(&parts)
            }
            2 => {
                encoder.record(named().zip(parts.iter().map(|part| part.ty)));
                concat(&parts)
            }
            3 => {
                encoder.variant(named().zip(parts.iter().map(|part| Some(part.ty))));
                either(parts.iter())
            }
            4 => {
                encoder.result(Some(parts[0].ty), Some(parts[1].ty));
                either(parts.iter())
            }
            5 => {
                encoder.option(parts[0].ty);
                either(parts.iter())
            }
            6 => {
                encoder.result(None, Some(parts[0].ty));
                either(parts.iter())
            }
            7 => {
                encoder.enum_type(named());
                Some(vec![ValType::I32])
            }
            _ => {
                encoder.flags(named());
                Some(vec![ValType::I32])
            }
        };
        if matches!(kind, 2 | 3 | 7 | 8) {
            // Types with names of their own are exported before a function may use them.
            let bounds = Some(ComponentTypeRef::Type(TypeBounds::Eq(index)));
            index = b.export(format!("t{at}").as_str(), ComponentExportKind::Type, index, bounds);
        }
        types.push(Made { ty: ComponentValType::Type(index), flat });
    }
    Ok(types)
}

fn concat(parts: &[Made]) -> Option<Vec<ValType>> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(part.flat.as_ref()?);
        if all.len() > MAX_FLAT_PARAMS {
            return None;
        }
    }
    Some(all)
}

/// A discriminant, and what holds each of the cases.
fn either<'m>(parts: impl Iterator<Item = &'m Made>) -> Option<Vec<ValType>> {
    let mut all = vec![ValType::I32];
    for part in parts {
        for (at, one) in part.flat.as_ref()?.iter().enumerate() {
            match all.get_mut(at + 1) {
                None => all.push(*one),
                Some(known) if known == one => {}
                Some(known @ (ValType::I32 | ValType::F32)) if matches!(one, ValType::I32 | ValType::F32) => {
                    *known = ValType::I32;
                }
                Some(known) => *known = ValType::I64,
            }
        }
    }
    (all.len() <= MAX_FLAT_PARAMS).then_some(all)
}

/// A module with a function for each: it gives what the first bytes of memory say.
fn core_module(functions: &[(Vec<Made>, Option<Made>)], memory: &[u8]) -> Module {
    let (mut types, mut list, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    let mut bytes = memory.iter().copied();
    let mut byte = || bytes.next().unwrap_or_default();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    list.function(0);
    exports.export("realloc", ExportKind::Func, 0);
    let mut body = Function::new([]);
    body.instructions().i32_const(32 << 10).end();
    code.function(&body);
    for (at, (params, result)) in (1..).zip(functions) {
        let params = concat(params).unwrap_or_else(|| vec![ValType::I32]);
        let results = match result.as_ref().map(|made| made.flat.as_deref()) {
            None => vec![],
            Some(Some(flat)) if flat.len() <= MAX_FLAT_RESULTS => flat.to_vec(),
            Some(_) => vec![ValType::I32],
        };
        let mut body = Function::new([]);
        for result in &results {
            // A pointer is a multiple of eight, mostly within memory.
            let number = i32::from(u16::from_le_bytes([byte() & 0xf8, byte() & 7]));
            match result {
                ValType::I64 => body.instructions().i64_const(number.into()),
                ValType::F32 => body.instructions().f32_const(f32::NAN.into()),
                ValType::F64 => body.instructions().f64_const(f64::NAN.into()),
                _ => body.instructions().i32_const(number),
            };
        }
        body.instructions().end();
        code.function(&body);
        types.ty().function(params, results);
        list.function(at);
        exports.export(&format!("f{}", at - 1), ExportKind::Func, at);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), memory.iter().copied());
    let mut module = Module::new();
    module.section(&types).section(&list).section(&memories).section(&exports).section(&code).section(&data);
    module
}
