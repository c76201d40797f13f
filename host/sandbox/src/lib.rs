//! Skeleton.
mod egress;
mod manifest;
mod settings;
