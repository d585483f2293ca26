//! Debian packages, by debhelper. `packaging/debian` describes them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{VERSION, commit};
use crate::run::{command, step, workspace};

/// Builds the packages from the files of a release, and returns the folder with them.
pub(super) fn packages(contents: &Path, folder: &Path, dist: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let source = folder.join("process-monitor");
    copy(contents, &source)?;
    copy(&workspace().join("packaging/debian"), &source.join("debian"))?;
    fs::write(source.join("debian/changelog"), changelog(VERSION)?)?;
    fs::copy(contents.join("LICENCES.txt"), source.join("debian/copyright"))?;
    step("Debian packages", command("dpkg-buildpackage", &["--build=binary", "--no-sign"]).current_dir(&source))?;
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            fs::copy(entry.path(), dist.join(entry.file_name())).context("can't copy a package")?;
        }
    }
    Ok(folder.to_owned())
}

/// Returns a folder with a new Debian of this machine's version. It is made once, from the mirror that apt uses.
pub(super) fn base(folder: &Path) -> Result<PathBuf> {
    // The last step of debootstrap removes its own folder.
    if folder.join("var/lib/dpkg/status").exists() && !folder.join("debootstrap").exists() {
        return Ok(folder.to_owned());
    }
    let targets = command("apt-get", &["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]).output()?;
    let targets = String::from_utf8(targets.stdout)?;
    let (mirror, version) =
        targets.lines().next().and_then(|line| line.split_once(' ')).context("apt has no mirror: run apt-get update")?;
    step("new Debian", command("debootstrap", &["--variant=minbase", version]).arg(folder).arg(mirror))?;
    Ok(folder.to_owned())
}

/// Returns the file that sets version and time of the packages.
fn changelog(version: &str) -> Result<String> {
    let (date, maintainer) = (commit("%cD")?, "Process Monitor <monitor@localhost>");
    Ok(format!("process-monitor ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {maintainer}  {date}\n"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    step(&format!("copy {}", from.display()), command("cp", &["--archive", "--no-target-directory"]).arg(from).arg(to))
}
