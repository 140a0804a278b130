//! c
pub struct ClientOptions; pub struct KeeperClient; pub struct KeeperStatus; pub struct SpawnOptions;
