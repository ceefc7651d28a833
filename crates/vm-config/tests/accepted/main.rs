//! QEMU accepts what the builder makes: each profile, with many combinations of inputs and overrides, is started with
//! its processors stopped, greeted over QMP, and told to quit. By a native QEMU where one is installed, and by ours, whose
//! devices are fewer, in Node.

mod combinations;
mod files;
mod native;
mod ours;
