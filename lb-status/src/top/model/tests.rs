//! Tests of the rates.

use std::time::Duration;

use super::*;

/// A sample of `node` after so many seconds, with the packets of each VIP, 100 bytes each.
pub(in crate::top) fn sample(node: &str, seconds: u64, vips: &[(&str, u64)]) -> Sample {
    let vip = |&(vip, packets): &(&str, u64)| {
        let members = vec![("n1".to_owned(), 1), ("n2".to_owned(), 3)];
        let service = format!("shop/{vip}");
        (
            vip.to_owned(),
            VipSample { service, packets, bytes: 100 * packets, members, ..VipSample::default() },
        )
    };
    Sample {
        node: node.to_owned(),
        at: Duration::from_secs(seconds),
        vips: vips.iter().map(vip).collect(),
        dropped: BTreeMap::from([("bad_tag".to_owned(), seconds), ("no_way".to_owned(), 5)]),
    }
}

fn model(rounds: Vec<Vec<Sample>>) -> TopModel {
    let mut model = TopModel::default();
    rounds.into_iter().for_each(|round| model.add(round));
    model
}

fn rates(model: &TopModel, key: SortKey, direction: SortDirection) -> Vec<(String, f64)> {
    model.sorted(key, direction).into_iter().map(|row| (row.vip, row.packets_per_second)).collect()
}

#[test]
fn a_rate_is_the_growth_per_second_between_two_samples() {
    let model = model(vec![
        vec![sample("n1", 0, &[("a", 100), ("b", 7)])],
        vec![sample("n1", 2, &[("a", 300), ("b", 7)])],
    ]);
    let rows = model.sorted(SortKey::Packets, SortDirection::Usual);
    assert_eq!((rows[0].packets_per_second, rows[0].bits_per_second), (100.0, 80_000.0));
    assert_eq!((rows[1].packets_per_second, rows[1].new_flows_per_second), (0.0, None));
    assert_eq!(model.totals().drops, [("bad_tag".to_owned(), 1.0)]);
}

#[test]
fn the_first_sample_and_a_counter_that_begins_again_have_no_rate() {
    let mut model = model(vec![vec![sample("n1", 0, &[("a", 1_000)])]]);
    assert_eq!(rates(&model, SortKey::Packets, SortDirection::Usual), [("a".to_owned(), 0.0)]);
    model.add(vec![sample("n1", 1, &[("a", 10)])]);
    assert_eq!(rates(&model, SortKey::Packets, SortDirection::Usual), [("a".to_owned(), 0.0)]);
    model.add(vec![sample("n1", 2, &[("a", 30), ("new", 99)])]);
    let expected = [("a".to_owned(), 20.0), ("new".to_owned(), 0.0)];
    assert_eq!(rates(&model, SortKey::Packets, SortDirection::Usual), expected);
    assert_eq!(model.sorted(SortKey::Packets, SortDirection::Usual)[0].history, [0, 0, 20]);
}

#[test]
fn a_sample_of_the_same_time_gives_no_rate() {
    let model = model(vec![vec![sample("n1", 1, &[("a", 1)])], vec![sample("n1", 1, &[("a", 5)])]]);
    assert_eq!(rates(&model, SortKey::Packets, SortDirection::Usual), [("a".to_owned(), 0.0)]);
}

#[test]
fn nodes_add_up_and_share_what_they_receive() {
    let round = |seconds, a, b| vec![sample("n1", seconds, &[("a", a)]), sample("n2", seconds, &[("a", b)])];
    let mut model = model(vec![round(0, 0, 0), round(1, 30, 10)]);
    let row = |model: &TopModel| model.sorted(SortKey::Packets, SortDirection::Usual).remove(0);
    assert_eq!(row(&model).packets_per_second, 40.0);
    let shares =
        |model: &TopModel| row(model).shares.into_iter().map(|it| (it.node, it.share)).collect::<Vec<_>>();
    assert_eq!(shares(&model), [("n1".to_owned(), 0.75), ("n2".to_owned(), 0.25)]);
    // n2 does not answer any more: what is left is the view of one node, with the shares of the ring.
    model.add(vec![sample("n1", 2, &[("a", 90)])]);
    assert_eq!(row(&model).packets_per_second, 60.0);
    assert_eq!(shares(&model), [("n2".to_owned(), 0.75), ("n1".to_owned(), 0.25)]);
}

#[test]
fn rows_are_sorted_by_the_key_and_then_by_name() {
    let model = model(vec![
        vec![sample("n1", 0, &[("a", 0), ("b", 0), ("c", 0)])],
        vec![sample("n1", 1, &[("a", 5), ("b", 9), ("c", 5)])],
    ]);
    let names = |key, direction| rates(&model, key, direction).into_iter().map(|it| it.0).collect::<String>();
    assert_eq!(names(SortKey::Packets, SortDirection::Usual), "bac");
    assert_eq!(names(SortKey::Packets, SortDirection::Reversed), "acb");
    assert_eq!(names(SortKey::Name, SortDirection::Reversed), "cba");
    assert_eq!(names(SortKey::Flows, SortDirection::Usual), "abc");
}

#[test]
fn history_ends_with_the_vip_and_is_bounded() {
    let mut model = TopModel::default();
    (0..200).for_each(|second| model.add(vec![sample("n1", second, &[("a", second * second)])]));
    let rows = model.sorted(SortKey::Packets, SortDirection::Usual);
    assert_eq!((rows[0].history.len(), rows[0].history.last()), (60, Some(&397)));
    model.add(vec![sample("n1", 200, &[("b", 0)])]);
    model.add(vec![sample("n1", 201, &[("a", 0)])]);
    assert_eq!(model.sorted(SortKey::Packets, SortDirection::Usual)[0].history, [0]);
}
