use vestore_schema::{Assembly, Contig, Position, Variant};

use super::block::MAGIC;
use super::*;

fn assembly() -> Assembly {
    let contig = |name: &str| Contig { name: name.to_owned(), length: 1_000_000, digest: String::new() };
    Assembly { name: None, contigs: vec![contig("1"), contig("HLA-A*01:01")] }
}

fn row(id: u64, contig: u32, position: u32, alleles: (&str, &str)) -> IdRow {
    let position = Position::new(position);
    IdRow {
        id,
        variant: Variant { contig, position, reference: alleles.0.into(), alternate: alleles.1.into() },
    }
}

fn written(rows: &[IdRow], assembly: &Assembly) -> Vec<u8> {
    let mut writer = BlockWriter::new(Vec::new(), assembly);
    for row in rows {
        writer.push(row).unwrap();
    }
    assert_eq!(writer.rows, rows.len() as u64);
    writer.finish().unwrap()
}

/// The variants of an id, or what is wrong with the file.
fn found(file: &[u8], id: u64, assembly: &Assembly) -> Result<Vec<Variant>, &'static str> {
    let length = file.len() as u64;
    let tail = file.last_chunk::<{ Tail::BYTES }>().and_then(Tail::parse).ok_or("no tail")?;
    let (start, bytes) = tail.index(length).ok_or("no index")?;
    let index = Index::parse(&file[start as usize..start as usize + bytes], tail, start)?;
    let Some(block) = index.block(id).filter(|block| block.is_possible()) else { return Ok(Vec::new()) };
    let start = block.offset as usize;
    block.variants(file.get(start..start + block.bytes).ok_or("a block ends beyond the file")?, id, assembly)
}

#[test]
fn every_id_is_found_and_no_other() {
    let assembly = assembly();
    let mut rows = Vec::new();
    for number in 0..60_000_u64 {
        let id = 3 + number * 7 + if number > 50_000 { 1 << 33 } else { 0 };
        rows.push(row(id, (number % 2) as u32, (number % 1000) as u32, ("A", "C")));
        if number % 3 == 0 {
            rows.push(row(id, (number % 2) as u32, (number % 1000) as u32, ("AC", "A")));
        }
    }
    let file = written(&rows, &assembly);
    assert!(file.len() < rows.len() * 8, "{} bytes", file.len());
    for (at, expected) in rows.iter().enumerate().filter(|(at, _)| at % 997 == 0 || *at + 1 == rows.len()) {
        let all: Vec<Variant> =
            rows.iter().filter(|row| row.id == expected.id).map(|row| row.variant.clone()).collect();
        assert_eq!(found(&file, expected.id, &assembly), Ok(all), "{at}");
        assert_eq!(found(&file, expected.id + 1, &assembly), Ok(Vec::new()), "{at}");
    }
    for id in [0, 2, u64::MAX] {
        assert_eq!(found(&file, id, &assembly), Ok(Vec::new()));
    }
    assert_eq!(found(&written(&[], &assembly), 1, &assembly), Ok(Vec::new()));
}

#[test]
fn whatever_byte_changes_is_noticed_where_it_is_read() {
    let assembly = assembly();
    let rows: Vec<IdRow> = (1..40).map(|id| row(id, 0, 10 * id as u32, ("A", "G"))).collect();
    let file = written(&rows, &assembly);
    let whole = found(&file, 7, &assembly);
    assert_eq!(whole.as_ref().map(Vec::len), Ok(1));
    for at in 0..file.len() {
        for bit in [1, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            let told = found(&changed, 7, &assembly);
            assert!(told.is_err(), "byte {at} of {}: {told:?}", file.len());
        }
        let told = found(&file[..at], 7, &assembly);
        assert!(told.is_err(), "{at} bytes: {told:?}");
    }
    assert_eq!(&file[file.len() - 8..], MAGIC);
    // Another reference has no such contig, or a shorter one.
    let mut other = assembly.clone();
    other.contigs[0].length = 50;
    assert!(found(&file, 7, &other).is_err());
    other.contigs[0].name = "2".to_owned();
    assert!(found(&file, 7, &other).is_err());
}

#[test]
fn rs_numbers_are_read() {
    for (text, number) in [("rs80357713", Some(80_357_713)), ("RS7", Some(7)), ("Rs7", Some(7))] {
        assert_eq!(rs_number(text), number, "{text}");
    }
    for text in ["", "rs", "rs0", "rs-1", "rs+1", "rs1.2", "rs1a", "ss5", "rs99999999999999999999", "RSPO1"] {
        assert_eq!(rs_number(text), None, "{text}");
    }
}
