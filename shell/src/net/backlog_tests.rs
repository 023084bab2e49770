use super::*;

#[test]
fn a_backlog_pauses_above_its_mark_and_resumes_when_all_is_flushed() {
    let mut backlog = Backlog::default();
    for _ in 0..BACKLOG_BEFORE_PAUSE {
        backlog.push(WsFrame::Text(String::new())).unwrap();
        assert_eq!(backlog.flow(false), None);
    }
    backlog.push(WsFrame::Text(String::new())).unwrap();
    assert_eq!(backlog.flow(false), Some(Flow::Pause));
    assert_eq!(backlog.flow(false), None);
    while backlog.pop().is_some() {}
    assert_eq!(backlog.flow(false), None);
    assert_eq!(backlog.flow(true), Some(Flow::Resume));
    assert_eq!(backlog.flow(true), None);
}

#[test]
fn a_backlog_has_an_end() {
    let mut backlog = Backlog::default();
    let push = |_| backlog.push(WsFrame::Text(String::new()));
    let pushed = (0..1000).map(push).filter(Result::is_ok).count();
    assert_eq!(pushed, BACKLOG_MAX);
}
