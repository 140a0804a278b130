//! The list of banned words, each with what to write instead, and the search for them.

/// Words or phrases that a reader of the field stumbles over.
struct Ban {
    phrases: &'static [&'static str],
    instead: &'static str,
}

const BANS: [Ban; 18] = [
    ban(
        &["neighbour", "neighbours", "neighbouring"],
        "peer (BGP), node, or neighbor (an entry of the kernel)",
    ),
    ban(
        &["tell", "tells", "told", "telling", "teller", "tellers"],
        "report, advertise, announce, notify or log; distinguish",
    ),
    ban(&["nobody", "somebody"], "the one that is meant: no node, no client, another host"),
    ban(&["shall"], "must or will"),
    ban(&["became of", "becomes of", "came of"], "outcome or result"),
    ban(&["as it is now"], "currently"),
    ban(&["no longer so"], "resolved"),
    ban(&["its lot"], "the verdict, in plain words"),
    ban(&["is believed", "are believed"], "is trusted or is accepted"),
    ban(&["vitality"], "liveness state"),
    ban(&["bereaved"], "has a recent death"),
    ban(&["orphan", "orphans"], "hold"),
    ban(&["heir", "heirs"], "former leader"),
    ban(&["roster", "seated"], "node table, indexed node"),
    ban(&["herald", "heralds"], "status reporter or Event queue"),
    ban(&["modeller"], "incremental model"),
    ban(&["lest", "thereof", "wherein", "whereof", "hearken"], "plain words"),
    ban(&["whoever"], "any node, client or user that"),
];

/// Words that other software gives, with the files that speak to it.
const EXCEPTIONS: [(&str, &str); 6] = [
    // The user of Unix.
    ("xtask/src/lanes/kernels/image.rs", "nobody"),
    // `propagationPolicy: Orphan` of Kubernetes.
    ("tests/src/api_server", "orphan"),
    // Types and methods of the netlink crates.
    ("lb-dataplane/src/net", "neighbour"),
    ("lb-dataplane/src/net", "neighbours"),
    // The flag `--orphan-grace`.
    ("lb-agent/src/cli/agent.rs", "orphan"),
    ("docs/reference/flags.md", "orphan"),
];

const fn ban(phrases: &'static [&'static str], instead: &'static str) -> Ban {
    Ban { phrases, instead }
}

/// Byte offsets of banned words in a text of a file, each with a line of advice.
///
/// Names are read as the words that they consist of. Words in capitals are a standard's (`SHALL`), or a
/// constant's if there is an underscore.
pub(super) fn matches(text: &str, path: &str) -> Vec<(usize, String)> {
    let words = words(text);
    let mut found = Vec::new();
    for (at, (offset, word)) in words.iter().enumerate() {
        for (phrase, instead) in
            BANS.iter().flat_map(|ban| ban.phrases.iter().map(|phrase| (phrase, ban.instead)))
        {
            let is_here = phrase.split(' ').enumerate().all(|(nth, expected)| {
                words.get(at + nth).is_some_and(|(_, word)| word.eq_ignore_ascii_case(expected))
            });
            let is_standard = *word == "SHALL";
            let is_excepted =
                EXCEPTIONS.iter().any(|(start, word)| path.starts_with(start) && word == phrase);
            if is_here && !is_standard && !is_excepted {
                found.push((*offset, format!("\"{phrase}\": say {instead}")));
            }
        }
    }
    found
}

/// The words of a text with their offsets. Names in camel case and snake case are several.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    let mut previous = ' ';
    for (at, character) in text.char_indices() {
        let begins = character.is_uppercase() && previous.is_lowercase();
        if let Some(from) = start
            && (begins || !character.is_alphabetic())
        {
            words.push((from, &text[from..at]));
            start = None;
        }
        if character.is_alphabetic() && start.is_none() {
            start = Some(at);
        }
        previous = character;
    }
    words.extend(start.map(|from| (from, &text[from..])));
    words
}
