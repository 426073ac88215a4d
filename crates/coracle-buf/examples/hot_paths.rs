//! Runs each hot path many times, so that `valgrind --tool=callgrind` can count its instructions:
//!
//! ```text
//! cargo build --release --example hot_paths
//! for path in none pool headers slice ...; do valgrind --tool=callgrind hot_paths $path; done
//! ```
//!
//! Instructions of one path, minus those of `none`, divided by the rounds (10,000), is what one round costs.

use core::hint::black_box;

use coracle_buf::{Arena, Kind, Layer, Memory, MemoryLimits, Pbuf, PbufQueue, Pool};

const ROUNDS: usize = 10_000;

#[inline(never)]
fn pool(memory: &Memory) {
    for _ in 0..ROUNDS {
        let Ok(pbuf) = memory.alloc(Layer::Transport, black_box(64), Kind::Pool) else { return };
        black_box(&pbuf);
    }
}

#[inline(never)]
fn ram(memory: &Memory) {
    for _ in 0..ROUNDS {
        let Ok(pbuf) = memory.alloc(Layer::Transport, black_box(64), Kind::Ram) else { return };
        black_box(&pbuf);
    }
}

#[inline(never)]
fn headers(memory: &Memory) {
    for _ in 0..ROUNDS {
        let Ok(mut pbuf) = memory.alloc(Layer::Transport, black_box(64), Kind::Pool) else { return };
        for n in [8, 20, 14] {
            black_box(&mut pbuf);
            black_box(pbuf.add_header(n).is_ok());
        }
        black_box(&pbuf);
    }
}

#[inline(never)]
fn strip(memory: &Memory) {
    for _ in 0..ROUNDS {
        let Ok(mut pbuf) = memory.alloc(Layer::Raw, black_box(64), Kind::Pool) else { return };
        for n in [14, 20, 8] {
            black_box(&mut pbuf);
            black_box(pbuf.remove_header(n).is_ok());
        }
        black_box(&pbuf);
    }
}

#[inline(never)]
fn pull_up(pbuf: &mut Pbuf) {
    for _ in 0..ROUNDS {
        black_box(black_box(&mut *pbuf).pull_up(20).is_ok());
    }
}

#[inline(never)]
fn truncate(pbuf: &mut Pbuf) {
    for _ in 0..ROUNDS {
        black_box(black_box(&mut *pbuf).truncate(50).is_ok());
    }
}

#[inline(never)]
fn share(pbuf: &Pbuf) {
    for _ in 0..ROUNDS {
        let again = black_box(pbuf).clone();
        black_box(&again);
    }
}

#[inline(never)]
fn slice(pbuf: &Pbuf) {
    for _ in 0..ROUNDS {
        let Ok(slice) = black_box(pbuf).slice(8, 32) else { return };
        black_box(&slice);
    }
}

#[inline(never)]
fn queue(pbuf: &mut Option<Pbuf>) {
    let mut queue = PbufQueue::new();
    for _ in 0..ROUNDS {
        if let Some(pbuf) = pbuf.take() {
            black_box(queue.push_back(pbuf).is_ok());
        }
        *pbuf = black_box(&mut queue).pop_front();
    }
}

#[inline(never)]
fn blocks(pool: &Pool<u64>) {
    for i in 0..ROUNDS {
        let Ok(number) = pool.alloc(i as u64) else { return };
        black_box(&number);
    }
}

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let memory = Memory::new(&mut Arena::heap(), MemoryLimits::default()).expect("memory");
    let numbers = Pool::new(&mut Arena::heap(), 1000).expect("memory");
    let mut pbuf = memory.alloc(Layer::Transport, 64, Kind::Pool).ok();
    match path.as_str() {
        "pool" => pool(&memory),
        "ram" => ram(&memory),
        "headers" => headers(&memory),
        "strip" => strip(&memory),
        "blocks" => blocks(&numbers),
        "queue" => queue(&mut pbuf),
        path => {
            let Some(pbuf) = &mut pbuf else { return };
            match path {
                "pull_up" => pull_up(pbuf),
                "truncate" => truncate(pbuf),
                "clone" => share(pbuf),
                "slice" => slice(pbuf),
                _ => {}
            }
        }
    }
}
