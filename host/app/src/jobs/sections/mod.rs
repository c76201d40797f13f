//! The sections of the file of the jobs, understood: a module for each kind of thing that runs by itself, and for promises.
//!
//! A section says what is meant; the module of the same name beside this one does it: `verify`, `replicate`, `mirror`, and `run` for a job.
//!
//! Refused here: the file as a whole (`file`), the form (`reader`, `keys`), clauses that several sections have (`clauses`), who is told (`notify`).

pub mod job;
pub mod mirror;
pub mod promise;
pub mod replicate;
pub mod verify;
