//! Acting, on a scripted kernel that can be killed between any two steps.

mod any_story;
mod claims;
mod drift;
mod every_crash;
mod modes;
mod originals;
mod pulsed;
mod slow;
mod world;
