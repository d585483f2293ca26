//! Publishes to an S3 bucket. Each publication has a prefix of its own, and an object names the newest one.
//!
//! ```text
//! s3://bucket/gold/gold@20261121T023000Z.1-7/…   the files of a publication, which never change
//! s3://bucket/gold/current.json                  {"prefix": "gold/gold@20261121T023000Z.1-7/", …}, replaced after all files are uploaded
//! ```
//! A client that reads `current.json` first therefore sees either all old files or all new files, even if this program is killed at any point.

use std::io::Read as _;
use std::time::Duration;

use jiff::Timestamp;
use monitor_http::with_causes;
use monitor_runs::Secret;
use monitor_tasks::definition::{Bucket, Variable};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, Certificate, ClientOptions, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, RetryConfig,
    WriteMultipart,
};
use serde_json::json;

use super::folder::Size;
use super::tree::{Entry, Kind, Tree};

/// Name of the object that names the newest publication.
const CURRENT: &str = "current.json";
/// Size of a part in bytes. Larger files are uploaded in parts.
const PART: usize = 8 << 20;
/// Maximum number of parts uploaded at the same time.
const MOST_PARTS: usize = 4;
/// Maximum number of retries of a request.
const RETRIES: usize = 3;
/// Timeout of a request if the target sets none.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A bucket, and the prefix in it that belongs to a target.
#[derive(Debug)]
pub(super) struct Objects {
    store: AmazonS3,
    /// Address from the target's definition, without a trailing slash.
    url: String,
    prefix: String,
}

impl Objects {
    /// Reads the secrets of a target. Sends no request to the bucket.
    pub(super) fn open(target: &Bucket) -> Result<Self, String> {
        let url = target.s3.trim_end_matches('/');
        let (bucket, prefix) = monitor_tasks::definition::bucket(url).ok_or_else(|| format!("{url} is no s3://bucket/prefix"))?;
        let timeout = target.timeout.unwrap_or(TIMEOUT);
        let options = ClientOptions::new().with_timeout(timeout).with_connect_timeout(timeout).with_allow_http(true);
        let roots = monitor_http::built_in_roots().filter_map(|root| Certificate::from_der(root).ok());
        let options = roots.fold(options, ClientOptions::with_root_certificate);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: timeout, ..RetryConfig::default() };
        // Settings that the target omits come from the agent's environment (AWS_REGION, AWS_ACCESS_KEY_ID and so on). Without a key, the
        // machine's own role is used.
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_client_options(options).with_retry(retry);
        if let Some(region) = &target.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &target.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(key) = &target.access_key {
            builder = builder.with_access_key_id(secret("access-key", key)?);
        }
        if let Some(key) = &target.secret_key {
            builder = builder.with_secret_access_key(secret("secret-key", key)?);
        }
        let store = builder.build().map_err(|error| said(bucket, &error))?;
        Ok(Self { store, url: url.to_owned(), prefix: prefix.to_owned() })
    }

    /// Uploads all files to a new prefix. Returns their number and size, and the address of the prefix.
    pub(super) fn add(&self, source: &Tree, name: &str) -> Result<(Size, String), String> {
        let (runtime, mut size, mut sent) = (runtime()?, Size::default(), Ok(()));
        let walked = source.walk(&mut |entry| {
            if entry.kind != Kind::Folder {
                sent = runtime.block_on(self.send(name, entry, &mut size));
            }
            Ok(sent.is_ok())
        });
        sent?;
        walked.map_err(|error| error.to_string())?;
        Ok((size, format!("{}/{name}", self.url)))
    }

    async fn send(&self, name: &str, entry: &Entry<'_>, size: &mut Size) -> Result<(), String> {
        let path = entry.path.to_str().ok_or_else(|| entry.wrong("has a name that is no text, which S3 doesn't take").to_string())?;
        if entry.kind != Kind::File {
            return Err(entry.wrong("is no file, and S3 has nothing but files").to_string());
        }
        let key = self.key(&format!("{name}/{path}"))?;
        let attributes =
            Attributes::from_iter([(Attribute::ContentType, mime_guess::from_path(entry.path).first_or_octet_stream().to_string())]);
        let mut file = entry.open().map_err(|error| error.to_string())?;
        let unread = |error: std::io::Error| entry.wrong(&format!("can't be read: {error}")).to_string();
        let mut part = Vec::new();
        let mut next = |part: &mut Vec<u8>| {
            part.clear();
            (&mut file).take(PART as u64).read_to_end(part).map_err(unread)
        };
        let mut read = next(&mut part)?;
        size.files += 1;
        size.bytes += read as u64;
        if read < PART {
            let options = PutOptions { attributes, ..PutOptions::default() };
            return self.store.put_opts(&key, part.into(), options).await.map(drop).map_err(|error| self.said(&error));
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = self.store.put_multipart_opts(&key, options).await.map_err(|error| self.said(&error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let waited = upload.wait_for_capacity(MOST_PARTS).await;
            let more = match waited {
                Ok(()) => {
                    upload.write(&part);
                    next(&mut part)
                }
                Err(error) => Err(self.said(&error)),
            };
            read = match more {
                Ok(read) => read,
                Err(why) => {
                    // Without an abort, the bucket would keep the uploaded parts.
                    let _ = upload.abort().await;
                    return Err(why);
                }
            };
            size.bytes += read as u64;
            if read == 0 {
                return upload.finish().await.map(drop).map_err(|error| self.said(&error));
            }
        }
    }

    /// Writes `current.json`, so that it names this publication.
    pub(super) fn switch(&self, content: &str, run: &str, size: Size) -> Result<(), String> {
        let name = self.name(content);
        let prefix = self.key(name)?;
        let about = json!({ "prefix": format!("{prefix}/"), "run": run, "files": size.files, "bytes": size.bytes, "published": Timestamp::now().to_string() });
        let attributes = Attributes::from_iter([(Attribute::ContentType, "application/json"), (Attribute::CacheControl, "no-cache")]);
        let (key, options) = (self.key(CURRENT)?, PutOptions { attributes, ..PutOptions::default() });
        let put = self.store.put_opts(&key, format!("{about:#}\n").into(), options);
        runtime()?.block_on(put).map(drop).map_err(|error| self.said(&error))
    }

    /// Returns the number and size of the files that the bucket still contains of a publication.
    pub(super) fn size(&self, content: &str) -> Result<Size, String> {
        let mut size = Size::default();
        for (_, bytes) in self.below(content)? {
            size.files += 1;
            size.bytes += bytes;
        }
        Ok(size)
    }

    /// Removes the files of a publication.
    pub(super) fn remove(&self, content: &str) -> Result<(), String> {
        let runtime = runtime()?;
        for (key, _) in self.below(content)? {
            runtime.block_on(self.store.delete(&key)).map_err(|error| self.said(&error))?;
        }
        Ok(())
    }

    fn below(&self, content: &str) -> Result<Vec<(Key, u64)>, String> {
        use futures_util::TryStreamExt as _;
        let prefix = self.key(self.name(content))?;
        let listed = self.store.list(Some(&prefix)).map_ok(|found| (found.location, found.size)).try_collect();
        runtime()?.block_on(listed).map_err(|error| self.said(&error))
    }

    /// Returns the name of a publication: the last part of its address.
    fn name<'a>(&self, content: &'a str) -> &'a str {
        content.strip_prefix(&self.url).unwrap_or(content).trim_start_matches('/')
    }

    fn key(&self, name: &str) -> Result<Key, String> {
        let whole = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Key::parse(&whole).map_err(|error| format!("{whole:?} is no name of an object: {error}"))
    }

    fn said(&self, error: &object_store::Error) -> String {
        said(&self.url, error)
    }
}

fn said(whose: &str, error: &object_store::Error) -> String {
    format!("{whose}: {}", with_causes(error))
}

fn secret(name: &str, from: &Variable) -> Result<String, String> {
    let read = match from {
        Variable::Value(_) => return Err(format!("{name} is no reference")),
        Variable::File { file } => Secret::File(file.into()).read(name),
        Variable::Env { env } => Secret::Env(env.clone()).read(name),
    };
    read.map(|text| text.trim().to_owned()).map_err(|error| error.to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| format!("there is no thread to send with: {error}"))
}
