//! Acting, on a scripted kernel that can be killed between any two steps.

mod any_story;
mod claims;
mod every_crash;
mod world;
