//! The `coracle` program: the stack against the Linux kernel.
#![forbid(unsafe_code)]

mod arguments;
mod demo;
mod dhcp;
mod ping;
mod relay;
mod resolve;
mod serve;
mod snmp;
mod stop;
mod up;

use arguments::Command;
use std::process::ExitCode;

/// What went wrong, in a line for the user.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("coracle: {error}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Help => {
            println!("{}", arguments::HELP);
            Ok(true)
        }
        Command::Demo(options) => demo::run(&options),
        Command::Up(options) => up::run(&options).map(|()| true),
        Command::Snmp(options) => snmp::run(&options),
        Command::Dhcp(options) => dhcp::run(&options),
        Command::Relay(options) => relay::run(&options).map(|()| true),
        Command::Ping(options) => ping::run(&options),
        Command::Resolve(options) => resolve::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("coracle: {error}");
            ExitCode::FAILURE
        }
    }
}
