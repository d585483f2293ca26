//! Sentinels of Redis: servers that know which of several Redis servers is the master, and choose another one if it fails.

use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use tokio::time::timeout;

use super::PATIENCE;
use super::redis::failure;
use crate::error::BrokerError;

/// The Sentinels of a broker.
#[derive(Debug, Clone)]
pub(crate) struct Sentinels {
    pub(crate) hosts: Vec<(String, u16)>,
    /// Name of the master.
    pub(crate) master: String,
    /// Settings for the master.
    pub(crate) settings: RedisConnectionInfo,
    /// Settings for the Sentinels themselves.
    pub(crate) own_settings: RedisConnectionInfo,
    pub(crate) broker: String,
}

impl Sentinels {
    /// Asks the Sentinels for the master, and the master whether it is one.
    pub(crate) async fn client(&self) -> Result<Client, BrokerError> {
        let address = |(host, port): &(String, u16)| ConnectionAddr::Tcp(host.trim_matches(['[', ']']).to_owned(), *port);
        let found = async {
            let info = |host| Ok(address(host).into_connection_info()?.set_redis_settings(self.own_settings.clone()));
            let hosts = self.hosts.iter().map(info).collect::<Result<_, RedisError>>()?;
            let of_master = SentinelNodeConnectionInfo::default().set_redis_connection_info(self.settings.clone());
            Sentinel::build(hosts)?.async_master_for(&self.master, Some(&of_master)).await
        };
        let silent = |_| {
            let why = format!("the Sentinels have not named a master within {} s", PATIENCE.as_secs());
            BrokerError::Unreachable { broker: self.broker.clone(), why }
        };
        timeout(PATIENCE, found).await.map_err(silent)?.map_err(|error| failure(&self.broker, &error))
    }
}
