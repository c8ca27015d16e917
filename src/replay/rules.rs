//! The tried policy's globs over the recorded tree: who is protected, and what is no container any more.

use crate::config::{ContainerGlobs, Protect};
use crate::model::{Matcher, Member, Policy, Runtime, Topology};
use crate::report::clean;

/// The rules of a tried policy, and which of them met anything.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    protect: Protect,
    globs: ContainerGlobs,
    own: Vec<Rule>,
    /// Whether one was a container by the recorded policy's globs, and is none by these.
    lost: bool,
}

/// A rule that the operator wrote.
#[derive(Clone, Debug)]
struct Rule {
    text: String,
    over: Over,
    met: Met,
}

#[derive(Clone, Debug)]
enum Over {
    Protect(Protect),
    Containers(ContainerGlobs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    Nothing,
    /// Only groups whose samples were not recorded, because they were no containers then.
    Unsampled,
    Something,
}

impl Rules {
    pub(super) fn new(policy: &Policy) -> Rules {
        let built_in = Policy::default();
        let protect = policy
            .protect
            .iter()
            .filter(|matcher| !built_in.protect.contains(matcher))
            .map(|matcher| Rule {
                text: format!("[[protect]] {}", matcher_text(matcher)),
                over: Over::Protect(Protect::new(&Policy {
                    protect: vec![matcher.clone()],
                    ..Policy::default()
                })),
                met: Met::Nothing,
            });
        let containers = policy.containers.iter().map(|glob| Rule {
            text: format!("[containers] \"{}\"", clean(glob)),
            over: Over::Containers(ContainerGlobs::new(&Policy {
                containers: vec![glob.clone()],
                ..Policy::default()
            })),
            met: Met::Nothing,
        });
        Rules {
            own: protect.chain(containers).collect(),
            protect: Protect::new(policy),
            globs: ContainerGlobs::new(policy),
            lost: false,
        }
    }

    /// The tree as this policy has it. What `recorded` protects and the record does not is the governor
    /// itself, which stays as it was. What is a container by a glob of the recorded policy only is none
    /// here; what would be one by a glob of this policy only has no samples and stays what it was. Where
    /// names are hashed, globs cannot tell whom the record protects: it stays protected.
    pub(super) fn applied(
        &mut self,
        tree: &Topology,
        recorded: &Protect,
        hashed: bool,
    ) -> Topology {
        for rule in &mut self.own {
            rule.look(tree);
        }
        let mut tree = tree.clone();
        for group in &mut tree.groups {
            let governor = recorded.covers(group) && !group.protected;
            if let Member::Container {
                runtime: Runtime::Policy,
                ..
            } = group.member
                && !self.globs.is_container(&group.path)
            {
                group.member = Member::Service;
                self.lost = true;
            }
            let known = hashed && group.protected;
            group.protected = known || self.protect.covers(group) && !governor;
        }
        tree
    }

    /// What the operator named and the trace has not, or the other way round, one sentence each.
    pub(super) fn unmet(&self, hashed: bool) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .own
            .iter()
            .filter_map(|rule| {
                let what = match rule.met {
                    Met::Something => return None,
                    Met::Nothing => "matches nothing in the trace",
                    Met::Unsampled => {
                        "matches groups that were no containers when they were recorded: there are no samples of them"
                    }
                };
                Some(format!("{} {what}", rule.text))
            })
            .collect();
        if self.lost {
            remarks.push(
                "some that were containers by the recorded policy's [containers] are none by this one's".to_owned(),
            );
        }
        if hashed && !remarks.is_empty() {
            remarks.push("names are hashed in this trace: no rule can match by them".to_owned());
        }
        remarks
    }
}

impl Rule {
    fn look(&mut self, tree: &Topology) {
        if self.met == Met::Something {
            return;
        }
        let met = tree.groups.iter().map(|group| match &self.over {
            Over::Protect(protect) if protect.covers(group) => Met::Something,
            Over::Containers(globs) if globs.is_container(&group.path) => {
                if group.is_container() {
                    Met::Something
                } else {
                    Met::Unsampled
                }
            }
            Over::Protect(_) | Over::Containers(_) => Met::Nothing,
        });
        self.met = met.max().unwrap_or(Met::Nothing).max(self.met);
    }
}

/// As it stands in the policy file.
fn matcher_text(matcher: &Matcher) -> String {
    let field = |key: &str, value: &str| format!("{key} = \"{}\"", clean(value));
    let fields = [
        matcher.name.as_deref().map(|name| field("name", name)),
        matcher.path.as_deref().map(|path| field("path", path)),
        matcher
            .runtime
            .map(|runtime| field("runtime", runtime.word())),
    ];
    fields.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
