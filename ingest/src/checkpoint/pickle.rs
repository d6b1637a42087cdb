//! Reads `pytorch_model.bin`: a zip archive of stored entries whose `data.pkl` names tensors and
//! whose other entries hold their bytes. The pickle is never executed: a small stack machine knows
//! the few opcodes and the few globals that a state dict needs and refuses everything else, so a
//! hostile file can at worst be refused.
//!
//! Sources: the opcodes as Python's `pickletools` documents them; the persistent identifiers and
//! `_rebuild_tensor_v2` as torch 2.11 writes them.

use std::collections::HashMap;
use std::rc::Rc;

use thiserror::Error;

use super::archive::Archive;
use super::tensor::{StoredTensor, TensorDtype};

/// Why a `.bin` file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PickleError {
    /// No zip archive: torch wrote another format before version 1.6.
    #[error("it is not a zip archive; save it again with torch 1.6 or later, or as safetensors")]
    NotZip,
    /// The archive contradicts itself or ends early.
    #[error("the zip archive is damaged at {place}; copy the file again")]
    DamagedZip {
        /// What was being read.
        place: &'static str,
    },
    /// An entry is compressed or encrypted, which torch never does.
    #[error("entry `{entry}` is compressed or encrypted; save the file again with torch.save")]
    NotStored {
        /// Name inside the archive.
        entry: String,
    },
    /// An entry that the pickle relies on is not there.
    #[error("the archive has no entry `{entry}`; the file is incomplete, copy it again")]
    MissingEntry {
        /// Name inside the archive.
        entry: String,
    },
    /// The pickle asks for something that is not a tensor.
    #[error("it asks for `{global}`, which is not needed to hold weights; save only the state dict")]
    ForbiddenGlobal {
        /// `module name`, as written.
        global: String,
    },
    /// An opcode that no state dict uses.
    #[error("opcode {opcode:#04x} at byte {at} has no place in a state dict; save only the state dict")]
    ForbiddenOpcode {
        /// The byte.
        opcode: u8,
        /// Offset in `data.pkl`.
        at: usize,
    },
    /// The pickle ends early, takes from an empty stack or gives a wrong type.
    #[error("the pickle is damaged at byte {at} ({reason}); copy the file again")]
    Damaged {
        /// Offset in `data.pkl`.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
    /// A tensor reaches beyond its storage.
    #[error("tensor `{name}` reaches beyond its storage; the file lies about its shapes")]
    BeyondStorage {
        /// Name of the tensor.
        name: String,
    },
    /// Tensors that share storages until they are much larger than the file.
    #[error(
        "its tensors share storages: they claim {claimed} bytes, the file holds {held}; \
         only a decoder tied to the embeddings may share, save the file again"
    )]
    Shared {
        /// Bytes of all tensors.
        claimed: u64,
        /// Bytes of the file.
        held: u64,
    },
    /// The bytes are big-endian.
    #[error("its numbers are big-endian; save it again on a little-endian machine")]
    BigEndian,
}

/// The tensors of a `.bin` file, in the file's order. `file` is the number that each tensor is
/// tagged with.
pub(crate) fn read(bytes: &[u8], file: usize) -> Result<Vec<(String, StoredTensor)>, PickleError> {
    let archive = Archive::read(bytes)?;
    let pickle_name = archive
        .entries
        .keys()
        .filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .min()
        .ok_or_else(|| PickleError::MissingEntry { entry: "data.pkl".to_owned() })?
        .clone();
    let root = pickle_name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    if let Some(range) = archive.entries.get(&format!("{root}byteorder"))
        && bytes.get(range.clone()) != Some(b"little".as_slice())
    {
        return Err(PickleError::BigEndian);
    }
    let range = archive.entries[&pickle_name].clone();
    let pickle = bytes.get(range).ok_or(PickleError::DamagedZip { place: "data.pkl" })?;
    let mut machine = Machine { bytes: pickle, ..Machine::default() };
    machine.run()?;
    let tensors = machine.tensors(&archive, &root, file)?;
    // Each is copied when it is loaded. Embeddings that a tied decoder shares may be next to all of a file.
    let size =
        |tensor: &StoredTensor| tensor.shape.iter().product::<usize>() as u64 * tensor.dtype.size() as u64;
    let claimed = tensors.iter().fold(0_u64, |sum, (_, tensor)| sum.saturating_add(size(tensor)));
    let held = bytes.len() as u64;
    if claimed > held.saturating_mul(2) {
        return Err(PickleError::Shared { claimed, held });
    }
    Ok(tensors)
}

/// Far more than any tensor has; without a bound, one tuple or name that many tensors share would be copied
/// for each.
const MOST_DIMENSIONS: usize = 64;
const LONGEST_NAME: usize = 4096;

/// The globals that a state dict needs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(TensorDtype),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(TensorDtype::F32),
            ("torch", "HalfStorage") => Self::Storage(TensorDtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(TensorDtype::Bf16),
            ("torch", "LongStorage") => Self::Storage(TensorDtype::I64),
            _ => return None,
        })
    }
}

/// A value of the machine. Composite values live in arenas and are named by number, so that deep
/// or circular nesting costs nothing to drop.
#[derive(Clone, Debug)]
enum Value {
    Mark,
    None,
    Bool,
    Integer(i64),
    Text(Rc<str>),
    Tuple(usize),
    List,
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
}

struct Storage {
    dtype: TensorDtype,
    key: Rc<str>,
}

struct Rebuilt {
    storage: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    tuples: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    storages: Vec<Storage>,
    rebuilt: Vec<Rebuilt>,
}

impl Machine<'_> {
    fn damaged(&self, reason: &'static str) -> PickleError {
        PickleError::Damaged { at: self.at, reason }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], PickleError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.damaged("more bytes")) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn text(&mut self, count: usize) -> Result<Value, PickleError> {
        let text = std::str::from_utf8(self.take(count)?).map(Rc::from);
        text.map(Value::Text).map_err(|_| self.damaged("UTF-8 text"))
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        let Some(length) = length else { return Err(self.damaged("a line")) };
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        self.stack.pop().ok_or_else(|| self.damaged("a value on the stack"))
    }

    /// Everything above the last mark, which goes too.
    fn marked(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let Some(mark) = mark else { return Err(self.damaged("a mark on the stack")) };
        let values = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(values)
    }

    fn tuple(&mut self, values: Vec<Value>) {
        self.tuples.push(values);
        self.stack.push(Value::Tuple(self.tuples.len() - 1));
    }

    fn dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn remember(&mut self, slot: u32) -> Result<(), PickleError> {
        let top = self.stack.last().cloned().ok_or_else(|| self.damaged("a value to remember"))?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), PickleError> {
        let value = self.memo.get(&slot).cloned().ok_or_else(|| self.damaged("a remembered value"))?;
        self.stack.push(value);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let global = Global::find(module, name)
            .ok_or_else(|| PickleError::ForbiddenGlobal { global: format!("{module} {name}") })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn set(&mut self, pairs: Vec<Value>) -> Result<(), PickleError> {
        let Some(Value::Dict(dict)) = self.stack.last() else { return Err(self.damaged("a dict")) };
        let dict = *dict;
        let mut pairs = pairs.into_iter();
        while let Some(key) = pairs.next() {
            let Some(value) = pairs.next() else { return Err(self.damaged("a value for each key")) };
            self.dicts[dict].push((key, value));
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), PickleError> {
        loop {
            let at = self.at;
            let [opcode] = self.array()?;
            match opcode {
                // PROTO, FRAME: nothing to do.
                0x80 => drop(self.array::<1>()?),
                0x95 => drop(self.array::<8>()?),
                b'(' => self.stack.push(Value::Mark),
                b'.' => return Ok(()),
                // POP. BUILD, which gives a state dict its `_metadata`: no weights are in it.
                b'0' | b'b' => drop(self.pop()?),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.stack.push(Value::Integer(value.into()));
                }
                b'K' => {
                    let [value] = self.array()?;
                    self.stack.push(Value::Integer(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.stack.push(Value::Integer(value.into()));
                }
                0x8a => self.long()?,
                b'X' => {
                    let count = u32::from_le_bytes(self.array()?);
                    let value = self.text(count as usize)?;
                    self.stack.push(value);
                }
                0x8c => {
                    let [count] = self.array()?;
                    let value = self.text(count.into())?;
                    self.stack.push(value);
                }
                b'}' => self.dict(),
                b']' => self.stack.push(Value::List),
                b')' => self.tuple(Vec::new()),
                b't' => {
                    let values = self.marked()?;
                    self.tuple(values);
                }
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    let Some(from) = self.stack.len().checked_sub(count) else {
                        return Err(self.damaged("values for a tuple"));
                    };
                    let values = self.stack.split_off(from);
                    self.tuple(values);
                }
                // BINPUT, LONG_BINPUT, MEMOIZE; BINGET, LONG_BINGET.
                b'q' => {
                    let [slot] = self.array()?;
                    self.remember(slot.into())?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.remember(slot)?;
                }
                0x94 => {
                    let slot = u32::try_from(self.memo.len());
                    self.remember(slot.map_err(|_| self.damaged("fewer remembered values"))?)?;
                }
                b'h' => {
                    let [slot] = self.array()?;
                    self.recall(slot.into())?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.recall(slot)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => match (self.pop()?, self.pop()?) {
                    (Value::Text(name), Value::Text(module)) => self.global(&module, &name)?,
                    _ => return Err(self.damaged("the name of a global")),
                },
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let pairs = self.marked()?;
                    self.set(pairs)?;
                }
                _ => return Err(PickleError::ForbiddenOpcode { opcode, at }),
            }
        }
    }

    /// LONG1: a little-endian two's complement number of up to 8 bytes.
    fn long(&mut self) -> Result<(), PickleError> {
        let [count] = self.array()?;
        let taken = self.take(count.into())?;
        let mut wide = [if taken.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 }; 8];
        let Some(target) = wide.get_mut(..taken.len()) else { return Err(self.damaged("a 64-bit number")) };
        target.copy_from_slice(taken);
        self.stack.push(Value::Integer(i64::from_le_bytes(wide)));
        Ok(())
    }

    /// BINPERSID: `('storage', type, key, location, count)` names an entry of the archive.
    fn persistent(&mut self) -> Result<(), PickleError> {
        let Value::Tuple(tuple) = self.pop()? else { return Err(self.damaged("a storage's name")) };
        match self.tuples[tuple].as_slice() {
            [Value::Text(word), Value::Global(Global::Storage(dtype)), Value::Text(key), ..]
                if &**word == "storage" =>
            {
                self.storages.push(Storage { dtype: *dtype, key: Rc::clone(key) });
                self.stack.push(Value::Storage(self.storages.len() - 1));
                Ok(())
            }
            _ => Err(self.damaged("a storage's name")),
        }
    }

    fn reduce(&mut self) -> Result<(), PickleError> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(tuple), Value::Global(global)) = (arguments, function) else {
            return Err(self.damaged("a call of a global"));
        };
        match (global, self.tuples[tuple].as_slice()) {
            (Global::OrderedDict, []) => {
                self.dict();
                Ok(())
            }
            (
                Global::RebuildTensor,
                [
                    Value::Storage(storage),
                    Value::Integer(offset),
                    Value::Tuple(shape),
                    Value::Tuple(strides),
                    ..,
                ],
            ) => {
                let rebuilt = usize::try_from(*offset).ok().and_then(|offset| {
                    let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
                    (shape.len() == strides.len()).then_some(Rebuilt {
                        storage: *storage,
                        offset,
                        shape,
                        strides,
                    })
                });
                let Some(rebuilt) = rebuilt else { return Err(self.damaged("a tensor's shape")) };
                self.rebuilt.push(rebuilt);
                self.stack.push(Value::Tensor(self.rebuilt.len() - 1));
                Ok(())
            }
            (Global::RebuildParameter, [Value::Tensor(tensor), ..]) => {
                self.stack.push(Value::Tensor(*tensor));
                Ok(())
            }
            _ => Err(self.damaged("the arguments of a call")),
        }
    }

    fn sizes(&self, tuple: usize) -> Option<Vec<usize>> {
        let size = |value: &Value| match value {
            Value::Integer(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let sizes = &self.tuples[tuple];
        if sizes.len() > MOST_DIMENSIONS {
            return None;
        }
        sizes.iter().map(size).collect()
    }

    /// The tensors of the dict on top of the stack, placed and checked against their storages.
    fn tensors(
        mut self,
        archive: &Archive,
        root: &str,
        file: usize,
    ) -> Result<Vec<(String, StoredTensor)>, PickleError> {
        let Value::Dict(dict) = self.pop()? else { return Err(self.damaged("a state dict at its end")) };
        let mut tensors = Vec::new();
        for (key, value) in &self.dicts[dict] {
            let (Value::Text(name), Value::Tensor(tensor)) = (key, value) else {
                return Err(self.damaged("a state dict of names and tensors only"));
            };
            if name.len() > LONGEST_NAME {
                return Err(self.damaged("names of at most 4096 bytes"));
            }
            let Rebuilt { storage, offset, shape, strides } = &self.rebuilt[*tensor];
            let Storage { dtype, key } = &self.storages[*storage];
            let entry = format!("{root}data/{key}");
            let Some(bytes) = archive.entries.get(&entry) else {
                return Err(PickleError::MissingEntry { entry });
            };
            let stored = StoredTensor::strided(file, bytes.clone(), *dtype, *offset, shape, strides);
            let stored = stored.ok_or_else(|| PickleError::BeyondStorage { name: name.to_string() })?;
            tensors.push((name.to_string(), stored));
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pickle: &[u8]) -> PickleError {
        let mut machine = Machine { bytes: pickle, ..Machine::default() };
        machine.run().expect_err("a refused pickle")
    }

    #[test]
    fn code_is_never_run() {
        let error = refused(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
        assert_eq!(error, PickleError::ForbiddenGlobal { global: "os system".to_owned() });
        // INST, OBJ and NEWOBJ would call whatever stands on the stack.
        for opcode in [b'i', b'o', 0x81, 0x92] {
            assert_eq!(refused(&[b'(', opcode]), PickleError::ForbiddenOpcode { opcode, at: 1 });
        }
    }

    #[test]
    fn short_and_senseless_pickles_are_refused() {
        for pickle in
            [b"".as_slice(), b"X\xff\xff\xff\xff", b"R", b"t", b"\x87", b"u", b"q\x00", b"h\x07", b"Q", b")R"]
        {
            assert!(matches!(refused(pickle), PickleError::Damaged { .. }), "{pickle:?}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let mut pickle = vec![b')'];
        pickle.extend(std::iter::repeat_n(0x85, 300_000));
        pickle.push(b'.');
        let mut machine = Machine { bytes: &pickle, ..Machine::default() };
        machine.run().expect("a tuple");
        assert!(matches!(machine.pop(), Ok(Value::Tuple(300_000))));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert_eq!(read(b"\x80\x02\x8a\nl", 0).expect_err("old format"), PickleError::NotZip);
        let error = read(b"PK\x03\x04 and then nothing", 0).expect_err("cut archive");
        assert_eq!(error, PickleError::DamagedZip { place: "its end record" });
    }
}
