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
//! | `blame` | who moved together with the harm, and by what margin? |
//! | `lever` | which cgroup's knob moves what the aggressor takes? |
//! | `ladder` | which value comes next, and which comes next on the way back? |
//! | `intervention` | did it help, shall it go on, when is it given back? |
//! | `track` | everything known about one container |
//! | `feed` | what was done to whom in this tick? |
//! | `judge` | what becomes of what is held? |
//! | `answer` | whom does an alarm lead to, and with which first step? |
//! | `brain` | the order of these steps |
//! | `view` | roles and reasons for people |

mod answer;
mod blame;
mod brain;
mod bucket;
mod entitle;
mod feed;
mod harm;
mod intervention;
mod judge;
mod ladder;
mod learn;
mod lever;
#[cfg(test)]
mod tests;
mod track;
mod view;
mod window;

pub use brain::Brain;
pub use view::HeldView;
