//! The loop of `fairlead top`: a thread samples, and this one draws.

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};

use super::draw::{Screen, draw};
use super::model::{SortDirection, SortKey, TopModel};
use super::sample::Sample;

/// How soon a key takes effect, at the latest.
const POLL: Duration = Duration::from_millis(50);

/// What samples all nodes once; an error is shown, and the next round may succeed.
pub type Feed = Box<dyn FnMut() -> Result<Vec<Sample>, String> + Send>;

/// Why the terminal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the terminal: {0}; --once prints a table instead")]
pub struct TopError(#[from] io::Error);

/// Draws the rates on the terminal until the user quits.
///
/// # Errors
/// When the terminal cannot be used.
pub fn run(feed: Feed, interval: Duration, key: SortKey) -> Result<(), TopError> {
    let rounds = sample(feed, interval)?;
    let mut terminal = ratatui::try_init()?;
    let screen = Screen { key, ..Screen::default() };
    let result = interact(&mut terminal, &rounds, screen);
    ratatui::restore();
    Ok(result?)
}

/// Starts the thread that samples. It ends when its rounds are no longer received.
fn sample(mut feed: Feed, interval: Duration) -> io::Result<Receiver<Result<Vec<Sample>, String>>> {
    let (rounds, received) = mpsc::sync_channel(1);
    thread::Builder::new().name("samples".into()).spawn(move || {
        loop {
            let start = Instant::now();
            if rounds.send(feed()).is_err() {
                return;
            }
            thread::sleep(interval.saturating_sub(start.elapsed()));
        }
    })?;
    Ok(received)
}

fn interact(
    terminal: &mut DefaultTerminal,
    rounds: &Receiver<Result<Vec<Sample>, String>>,
    mut screen: Screen,
) -> io::Result<()> {
    let mut model = TopModel::default();
    let mut is_changed = true;
    loop {
        match rounds.try_recv() {
            Ok(Ok(round)) => {
                model.add(round);
                (screen.error, is_changed) = (None, true);
            }
            Ok(Err(error)) => (screen.error, is_changed) = (Some(error), true),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(io::Error::other("the samples have ended")),
        }
        if is_changed {
            terminal.draw(|frame| draw(frame, &model, &mut screen))?;
        }
        is_changed = event::poll(POLL)?;
        if is_changed
            && let Event::Key(key) = event::read()?
            && key.is_press()
            && !handle_key(key, &mut screen)
        {
            return Ok(());
        }
    }
}

/// Handles a key; returns whether to go on.
fn handle_key(key: KeyEvent, screen: &mut Screen) -> bool {
    let page = 10;
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('p') => screen.key = SortKey::Packets,
        KeyCode::Char('b') => screen.key = SortKey::Bits,
        KeyCode::Char('f') => screen.key = SortKey::Flows,
        KeyCode::Char('d') => screen.key = SortKey::Drops,
        KeyCode::Char('n') => screen.key = SortKey::Name,
        KeyCode::Char('r') => {
            screen.direction = match screen.direction {
                SortDirection::Usual => SortDirection::Reversed,
                SortDirection::Reversed => SortDirection::Usual,
            }
        }
        KeyCode::Down | KeyCode::Char('j') => screen.selected.scroll_down_by(1),
        KeyCode::Up | KeyCode::Char('k') => screen.selected.scroll_up_by(1),
        KeyCode::PageDown => screen.selected.scroll_down_by(page),
        KeyCode::PageUp => screen.selected.scroll_up_by(page),
        KeyCode::Home => screen.selected.select(Some(0)),
        KeyCode::End => screen.selected.select(Some(usize::MAX)),
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(screen: &mut Screen, code: KeyCode) -> bool {
        handle_key(KeyEvent::from(code), screen)
    }

    #[test]
    fn keys_sort_select_and_quit() {
        let mut screen = Screen::default();
        assert!(press(&mut screen, KeyCode::Char('d')) && press(&mut screen, KeyCode::Char('r')));
        assert_eq!((screen.key, screen.direction), (SortKey::Drops, SortDirection::Reversed));
        screen.selected.select(Some(0));
        assert!(press(&mut screen, KeyCode::Down));
        assert_eq!(screen.selected.selected(), Some(1));
        assert!(!press(&mut screen, KeyCode::Char('q')));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(!handle_key(interrupt, &mut screen));
    }

    #[test]
    fn samples_end_when_they_are_no_longer_wanted() {
        let (ended, wait) = mpsc::channel::<()>();
        let feed = move || {
            let _alive = &ended;
            Ok(Vec::new())
        };
        let received = sample(Box::new(feed), Duration::ZERO).unwrap();
        assert!(received.recv().unwrap().unwrap().is_empty());
        drop(received);
        // The thread has dropped its feed.
        assert!(
            wait.recv_timeout(Duration::from_secs(10))
                .is_err_and(|it| it == mpsc::RecvTimeoutError::Disconnected)
        );
    }
}
