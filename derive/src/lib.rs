//! `#[derive(Json)]`: how a struct or an enum is read from JSON and written as it (`edgemint::json::Json`).
//!
//! In JSON it is what `serde` would make of it: a struct is an object of its members in their order, a struct of one field
//! without a name is that field, a variant is its name, or an object whose one member has its name. What is generated is a
//! table of names and a call for each field; everything else is done once for all types.
//!
//! | attribute | of | what it says |
//! |---|---|---|
//! | `#[json(default)]` | a field | it may lack, and is its type's default then |
//! | `#[json(omit)]` | a field | the same, and it is not written where it is nothing: `None`, `false`, zero, an empty list |
//! | `#[json(via = Other)]` | a field | it is read and written as this other type, which is made from it and becomes it |
//! | `#[json(default)]` | a struct | each field may lack, and is then what it is in the struct's default |
//! | `#[json(lowercase)]`, `#[json(snake_case)]` | an enum | how its variants are named |

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, Ident, Path, Result, parse_macro_input,
};

/// See the crate's page.
#[proc_macro_derive(Json, attributes(json))]
pub fn json(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let said = Said::of(&input.attrs)?;
    let methods = match &input.data {
        Data::Struct(data) => of_struct(&data.fields, &said)?,
        Data::Enum(data) => of_enum(data, &said)?,
        Data::Union(_) => {
            return Err(Error::new_spanned(input, "a union says not which of its fields it is"));
        }
    };
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(crate::json::Json));
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    Ok(quote! {
        impl #parameters crate::json::Json for #name #arguments #bounds { #methods }
    })
}

/// What the attributes of a type or field say.
#[derive(Default)]
struct Said {
    default: bool,
    omit: bool,
    via: Option<Path>,
    naming: Option<fn(&str) -> String>,
}

impl Said {
    fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut said = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("json")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    said.default = true;
                } else if meta.path.is_ident("omit") {
                    said.omit = true;
                } else if meta.path.is_ident("via") {
                    said.via = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("lowercase") {
                    said.naming = Some(str::to_lowercase);
                } else if meta.path.is_ident("snake_case") {
                    said.naming = Some(snake_case);
                } else {
                    return Err(meta.error("is not an attribute of Json"));
                }
                Ok(())
            })?;
        }
        Ok(said)
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn of_struct(fields: &Fields, said: &Said) -> Result<TokenStream> {
    let places: Vec<TokenStream> = fields.members().map(|member| quote!(#member)).collect();
    let blank = if said.default {
        quote!(<Self as Default>::default())
    } else {
        let blanks = blanks(fields)?;
        quote!(Self { #(#places: #blanks),* })
    };
    if let (Fields::Unnamed(_), [only]) = (fields, &places[..]) {
        return Ok(quote! {
            fn blank() -> Self { #blank }
            fn read(&mut self, tree: serde_json::Value) -> bool { self.#only.read(tree) }
            fn write(&self, text: &mut String) { self.#only.write(text); }
            fn is_nothing(&self) -> bool { self.#only.is_nothing() }
        });
    }
    let shape = shape(fields, said.default)?;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for (field, place) in fields.iter().zip(&places) {
        let (read, write) = match Said::of(&field.attrs)?.via {
            None => (quote!(parts.next(&mut self.#place);), quote!(&self.#place)),
            Some(other) => (
                quote! {
                    let mut other = #other::from(self.#place);
                    parts.next(&mut other);
                    self.#place = other.into();
                },
                quote!(&#other::from(self.#place)),
            ),
        };
        reads.push(read);
        writes.push(quote!(parts.next(#write);));
    }
    Ok(quote! {
        fn blank() -> Self { #blank }
        fn read(&mut self, tree: serde_json::Value) -> bool {
            const SHAPE: &crate::json::Shape = &#shape;
            let mut parts = crate::json::Reading::of(tree, SHAPE);
            #(#reads)*
            parts.are_sound()
        }
        fn write(&self, text: &mut String) {
            const SHAPE: &crate::json::Shape = &#shape;
            let mut parts = crate::json::Writing::of(text, SHAPE);
            #(#writes)*
            parts.end();
        }
    })
}

fn of_enum(data: &DataEnum, said: &Said) -> Result<TokenStream> {
    let (mut variants, mut reads, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    let mut blank = None;
    for (number, variant) in data.variants.iter().enumerate() {
        let name = &variant.ident;
        let wire = name.to_string();
        let wire = said.naming.map_or(wire.clone(), |naming| naming(&wire));
        let shape = match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => quote!(crate::json::Shape::One),
            fields => shape(fields, false)?,
        };
        variants.push(quote!((#wire, #shape)));
        let fields = &variant.fields;
        let places: Vec<TokenStream> = fields.members().map(|member| quote!(#member)).collect();
        let names: Vec<Ident> = (0..fields.len()).map(|index| format_ident!("part{index}")).collect();
        let blanks = blanks(fields)?;
        // The one that costs least stands before anything is read.
        if blank.is_none() || (fields.is_empty() && !matches!(blank, Some((true, _)))) {
            blank = Some((fields.is_empty(), quote!(Self::#name { #(#places: #blanks),* })));
        }
        reads.push(quote! {
            Some(#number) => {
                #(let mut #names = #blanks; parts.next(&mut #names);)*
                Self::#name { #(#places: #names),* }
            }
        });
        writes.push(quote! {
            Self::#name { #(#places: #names),* } => {
                let mut parts = crate::json::Writing::variant(text, VARIANTS, #number);
                #(parts.next(#names);)*
                parts.end();
            }
        });
    }
    let count = variants.len();
    let variants = quote!(const VARIANTS: &[(&str, crate::json::Shape); #count] = &[#(#variants),*];);
    let (_, blank) =
        blank.ok_or_else(|| Error::new(proc_macro2::Span::call_site(), "an enum without variants"))?;
    let (read, write) = if data.variants.iter().all(|variant| variant.fields.is_empty()) {
        let names: Vec<&Ident> = data.variants.iter().map(|variant| &variant.ident).collect();
        let numbers: Vec<usize> = (0..count).collect();
        (
            quote! {
                let (number, parts) = crate::json::Reading::variant(tree, VARIANTS);
                *self = match number {
                    #(Some(#numbers) => Self::#names,)*
                    _ => return false,
                };
                parts.are_sound()
            },
            quote! {
                let number = match self { #(Self::#names => #numbers),* };
                crate::json::Writing::variant(text, VARIANTS, number).end();
            },
        )
    } else {
        (
            quote! {
                let (number, mut parts) = crate::json::Reading::variant(tree, VARIANTS);
                *self = match number {
                    #(#reads)*
                    _ => return false,
                };
                parts.are_sound()
            },
            quote!(match self { #(#writes)* }),
        )
    };
    Ok(quote! {
        fn blank() -> Self { #blank }
        fn read(&mut self, tree: serde_json::Value) -> bool { #variants #read }
        fn write(&self, text: &mut String) { #variants #write }
    })
}

/// What each field is before it is read.
fn blanks(fields: &Fields) -> Result<Vec<TokenStream>> {
    let blank = |field: &Field| {
        let said = Said::of(&field.attrs)?;
        let may_lack = said.default || said.omit;
        Ok(if may_lack { quote!(Default::default()) } else { quote!(crate::json::Json::blank()) })
    };
    fields.iter().map(blank).collect()
}

/// What the fields are in JSON.
fn shape(fields: &Fields, all_may_lack: bool) -> Result<TokenStream> {
    let Fields::Named(named) = fields else {
        let unit = matches!(fields, Fields::Unit);
        return Ok(if unit {
            quote!(crate::json::Shape::Unit)
        } else {
            quote!(crate::json::Shape::Elements)
        });
    };
    let mut members = Vec::new();
    for field in &named.named {
        let said = Said::of(&field.attrs)?;
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let rule = match (said.omit, said.default || all_may_lack) {
            (true, _) => quote!(Omit),
            (false, true) => quote!(Default),
            (false, false) => quote!(Needed),
        };
        members.push(quote!((#name, crate::json::Rule::#rule)));
    }
    Ok(quote!(crate::json::Shape::Members(&[#(#members),*])))
}
