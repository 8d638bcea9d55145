//! How caches are spoken with over TLS and SSH, the same for all commands.

use std::path::PathBuf;

use clap::Args;

use crate::net::{ssh, tls};

/// What `tls://` and `ssh://` take.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Caches over TLS and SSH")]
pub struct Secure {
    /// Trust the CAs of this PEM file for tls://, repeatable [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Show this certificate over tls://: a PEM file with its chain
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// The PEM file with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// The name that the certificate of the server has to be for [default: the host asked for]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<Box<str>>,
    /// Know the hosts of this file over ssh://, repeatable [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Vec<PathBuf>,
    /// Log in over ssh:// with this private key, which has no passphrase
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Log in over ssh:// with the password that is the first line of this file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Take anybody for the server: for laboratories only
    #[arg(long)]
    pub insecure: bool,
}

impl Secure {
    /// What of it TLS takes.
    pub fn tls(&self) -> tls::ClientOptions {
        tls::ClientOptions {
            ca: self.ca.clone(),
            certificate: self.client_certificate.clone().zip(self.client_key.clone()),
            server_name: self.server_name.clone(),
            insecure: self.insecure,
        }
    }

    /// What of it SSH takes.
    pub fn ssh(&self) -> ssh::ClientOptions {
        ssh::ClientOptions {
            known_hosts: self.known_hosts.clone(),
            key: self.ssh_key.clone(),
            password_file: self.password_file.clone(),
            insecure: self.insecure,
        }
    }
}
