//! Every chore of QemuWeb is one verb.

fn main() {}
