//! The brain: what was read in, what shall be done out. Pure: no clock, no file, no lock.
//!
//! One [`Brain::step`] walks the whole way: rates in windows → harm per victim → blame per suspect
//! → plan. Each file is one step of that way:
//!
//! | file | answers |
//! |---|---|
//! | `window` | how fast did a counter move, over several spans at once? |
//! | `harm` | how much of a stall was done to a container by others? |
//! | `bucket` | has harm summed up to an alarm? |
//! | `learn` | what is calm for this container, and what is its established demand? |
//! | `entitle` | what may each take while others want more? |
//! | `behalf` | on whose behalf does the host itself work? |
//! | `blame` | who moved together with the harm, and by what margin? |
//! | `lever` | which cgroup's knob moves what the aggressor takes? |
//! | `ladder` | which value comes next, and which comes next on the way back? |
//! | `kill` | when does one have to die for the others to live? |
//! | `shared` | how low may a slice go that holds others besides the aggressor? |
//! | `lift` | what does the victim get, where the policy allows the idle rung? |
//! | `seen` | what does one intervention see in one tick, and what may follow? |
//! | `intervention` | did it help, shall it go on, when is it given back? |
//! | `memory` | how near is the end of memory, and who runs towards it? |
//! | `tasks` | who runs the host, or a slice, out of tasks? |
//! | `pools` | where do one's tasks come from, and how many are left there? |
//! | `on_device` | what does one do on one device, and how fast? |
//! | `devices` | who takes the block devices from whom? |
//! | `throttle` | how much of a device is left to one, and what comes next? |
//! | `strain` | what was done to one container in one resource, and by whom? |
//! | `track` | everything known about one container |
//! | `conduct` | what is remembered of somebody's conduct? |
//! | `owed` | what did others keep from one? |
//! | `feed` | what was done to whom in this tick? |
//! | `judge` | what becomes of what is held? |
//! | `hold` | how is it written, renewed and given back, and what became of that? |
//! | `answer` | whom does an alarm lead to, and with which first step? |
//! | `joint` | who is held together, and what is left to each? |
//! | `brain` | the order of these steps |
//! | `chronicle` | what was done before? |
//! | `suspects` | who else was it, and why is that one not held? |
//! | `release` | what would end this, and when? |
//! | `explain` | everything about one container, for people |
//! | `view` | roles and reasons for people |
//! | `checkpoint` | the whole brain as text, and back |

mod answer;
mod behalf;
mod blame;
mod brain;
mod bucket;
mod checkpoint;
mod chronicle;
mod conduct;
mod devices;
mod entitle;
mod explain;
mod feed;
mod harm;
mod hold;
mod intervention;
mod joint;
mod judge;
mod kill;
mod ladder;
mod learn;
mod lever;
mod lift;
mod memory;
mod on_device;
mod owed;
mod pools;
mod pulses;
mod reach;
mod release;
mod seen;
mod shared;
mod strain;
mod suspects;
mod tasks;
#[cfg(test)]
mod tests;
mod throttle;
mod track;
mod view;
mod window;

pub use brain::Brain;
pub use checkpoint::CheckpointError;
pub use view::{HarmView, HeldView};
