//! What a type says of a place: whether tasks stand there in numbers.

use syn::{GenericArgument, PathArguments, PathSegment, Type};

use super::model::{Model, last_name};

/// Types and aliases within one another, most.
const NESTED_MAX: u32 = 12;

/// A collection's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `Vec`, `VecDeque`, slices: to look something up is to look at all.
    List,
    /// A map or set in order.
    Tree,
    Heap,
    /// The backend's own store of tasks.
    Slab,
}

/// What a type is, as far as the rules care.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    pub(super) kind: Kind,
    /// What stands in it; the key first, of a map.
    pub(super) elements: Vec<Type>,
}

/// Without what only wraps a type.
pub(super) fn peel<'a>(model: &'a Model, ty: &'a Type) -> &'a Type {
    let mut ty = ty;
    for _ in 0..NESTED_MAX {
        ty = match ty {
            Type::Reference(inner) => &inner.elem,
            Type::Paren(inner) => &inner.elem,
            Type::Group(inner) => &inner.elem,
            Type::Path(path) => {
                let Some(last) = path.path.segments.last() else {
                    return ty;
                };
                let name = last.ident.to_string();
                match name.as_str() {
                    "Box" | "Rc" | "RefCell" | "Cell" | "Option" | "Ref" | "RefMut" | "Cow" => {
                        match arguments(last).into_iter().next_back() {
                            Some(inner) => inner,
                            None => return ty,
                        }
                    }
                    "Task" if path.path.segments.len() > 1 => {
                        match model.aliases.get("Self::Task") {
                            Some(inner) => inner,
                            None => return ty,
                        }
                    }
                    _ => match model.aliases.get(&name) {
                        Some(inner) => inner,
                        None => return ty,
                    },
                }
            }
            _ => return ty,
        };
    }
    ty
}

/// The types in a path's angle brackets.
fn arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(list) = &segment.arguments else {
        return Vec::new();
    };
    let types = list.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}

/// The collection that a type is.
pub(super) fn collection(model: &Model, ty: &Type) -> Option<Collection> {
    let (kind, elements) = match peel(model, ty) {
        Type::Slice(slice) => (Kind::List, vec![(*slice.elem).clone()]),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let kind = match last.ident.to_string().as_str() {
                "Vec" | "VecDeque" => Kind::List,
                "BTreeMap" | "BTreeSet" => Kind::Tree,
                "BinaryHeap" => Kind::Heap,
                "Tasks" => Kind::Slab,
                _ => return None,
            };
            (kind, arguments(last).into_iter().cloned().collect())
        }
        _ => return None,
    };
    Some(Collection { kind, elements })
}

/// What stands at a place of a collection or an array.
pub(super) fn element(model: &Model, ty: &Type) -> Option<Type> {
    if let Type::Array(array) = peel(model, ty) {
        return Some((*array.elem).clone());
    }
    collection(model, ty)?.elements.pop()
}

/// Whether a value of the type is about one task: it has a task's id in itself, not in a
/// collection. One that may have none (`Option<TaskId>`) is about a CPU or the like.
pub(super) fn is_task(model: &Model, ty: &Type) -> bool {
    is_task_within(model, ty, NESTED_MAX)
}

fn is_task_within(model: &Model, ty: &Type, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let within = |ty: &Type| is_task_within(model, ty, depth);
    match ty {
        Type::Reference(inner) => within(&inner.elem),
        Type::Paren(inner) => within(&inner.elem),
        Type::Group(inner) => within(&inner.elem),
        Type::Array(inner) => within(&inner.elem),
        Type::Tuple(tuple) => tuple.elems.iter().any(within),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return false;
            };
            match last.ident.to_string().as_str() {
                "TaskId" | "TaskKey" | "TaskName" | "TaskInfo" => true,
                "Box" | "Rc" | "Reverse" | "Cell" | "RefCell" => {
                    arguments(last).into_iter().any(within)
                }
                name => match (model.aliases.get(name), model.types.get(name)) {
                    (Some(alias), _) => within(alias),
                    (None, Some(members)) => members.iter().any(|member| within(&member.ty)),
                    (None, None) => false,
                },
            }
        }
        _ => false,
    }
}

/// The collection of tasks that a type is.
pub(super) fn tasks(model: &Model, ty: &Type) -> Option<Collection> {
    let collection = collection(model, ty)?;
    let holds = collection.kind == Kind::Slab
        || collection
            .elements
            .iter()
            .any(|element| is_task(model, element));
    holds.then_some(collection)
}

/// The type of the file that a type is.
pub(super) fn own<'a>(model: &'a Model, ty: &'a Type) -> Option<&'a str> {
    let name = last_name(peel(model, ty))?;
    let (name, _) = model.types.get_key_value(&name)?;
    Some(name)
}
