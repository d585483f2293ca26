//! The stream of the real server.

use monitor_api::{Client, Error, EventStream, StreamItem};

use crate::support::{Front, TestServer, batch, ended, process, root, settings, started};

/// Returns the number and type of the next event. Adds the names of all other items before it to `others`.
async fn next(stream: &mut EventStream, others: &mut Vec<&'static str>) -> (u64, String) {
    loop {
        match stream.next().await.unwrap_or_else(|error| panic!("{}", error.causes())) {
            StreamItem::Event { number, message } => return (number, message.event.type_name().to_owned()),
            StreamItem::Connected { .. } => others.push("connected"),
            StreamItem::Gap { .. } => others.push("gap"),
            StreamItem::Interrupted { .. } if others.last() != Some(&"interrupted") => others.push("interrupted"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn each_event_is_delivered_once_with_the_state_that_it_caused() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut stream = client.stream().types(["process-started", "process-ended"]).open();
    assert_eq!(stream.position(), None);
    let Ok(StreamItem::Connected { after }) = stream.next().await else { panic!("connected first") };
    assert_eq!(stream.position(), Some(after));
    client.events(&batch(1, &[started(root(1), process(1), "build"), ended(root(1), process(1))])).await.unwrap();
    let Ok(StreamItem::Event { number, message }) = stream.next().await else { panic!("the start") };
    assert_eq!((message.event.type_name(), message.process.unwrap().name.as_str()), ("process-started", "build"));
    assert_eq!(stream.position(), Some(number));
    let Ok(StreamItem::Event { message, .. }) = stream.next().await else { panic!("the end") };
    assert_eq!(message.root.unwrap().state.as_str(), "failed");

    // From an answer on, and narrowed by each of what there is.
    for request in [
        client.stream().root(1),
        client.stream().root(root(1)),
        client.stream().process(process(1)),
        client.stream().name("build"),
        client.stream().worker(crate::support::WORKER),
        client.stream().worker("night*@build-?"),
        client.stream().types(["process-st*"]).kinds(["root", "task"]),
        client.stream().within(1_000),
    ] {
        let mut stream = request.after(number - 1).open();
        assert_eq!(next(&mut stream, &mut Vec::new()).await, (number, "process-started".to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_restarts_in_mid_stream_is_followed_without_gap_or_repeat() {
    const ROUNDS: u64 = 4;
    let front = Front::start().await;
    let mut server = TestServer::start().await;
    front.lead_to(Some(server.address));
    let client = Client::new(settings(front.address));
    let before = client.roots().await.unwrap().as_of;
    let (mut all, mut narrowed) = (client.stream().after(before).open(), client.stream().types(["process-started"]).after(before).open());
    let (mut numbers, mut starts, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let events: Vec<_> = (1..=20).map(|number| started(root(1), process(round * 100 + number), "step")).collect();
        client.events(&batch(1 + round * 20, &events)).await.unwrap();
        // Some of it is read before the server goes, the rest after it is back.
        for _ in 0..7 {
            numbers.push(next(&mut all, &mut others).await.0);
            starts.push(next(&mut narrowed, &mut Vec::new()).await.0);
        }
        front.lead_to(None);
        let data = server.stop().await;
        server = TestServer::on(data, |_| {}).await;
        front.lead_to(Some(server.address));
    }
    let newest = client.roots().await.unwrap().as_of;
    while numbers.last() != Some(&newest) {
        numbers.push(next(&mut all, &mut others).await.0);
    }
    while starts.len() < 20 * ROUNDS as usize {
        starts.push(next(&mut narrowed, &mut Vec::new()).await.0);
    }
    assert_eq!(numbers, (before + 1..=newest).collect::<Vec<_>>());
    assert!(starts.is_sorted_by(|a, b| a < b) && starts.iter().all(|number| numbers.contains(number)));
    assert!(!others.contains(&"gap") && others.contains(&"interrupted") && others.contains(&"connected"), "{others:?}");
}

#[tokio::test]
async fn forgotten_events_are_one_gap() {
    let server = TestServer::with(|config| (config.stream_buffer_bytes, config.stream_keep_bytes) = (1, Some(0))).await;
    let client = server.client();
    let events: Vec<_> = (1..=9).map(|number| started(root(1), process(number), "step")).collect();
    client.events(&batch(1, &events)).await.unwrap();
    let newest = client.roots().await.unwrap().as_of;
    for (asked, request) in [(0, client.stream().after(0)), (u64::MAX, client.stream().types(["process-started"]).after(u64::MAX))] {
        let mut stream = request.open();
        let Ok(StreamItem::Gap { after, until }) = stream.next().await else { panic!("a gap from {asked}") };
        assert!(after == Some(asked) && until >= newest);
        assert!(matches!(stream.next().await, Ok(StreamItem::Connected { after }) if after == until));
        assert_eq!(stream.position(), Some(until));
    }
    // A stream that is further behind than `within` starts with a gap.
    let server = TestServer::start().await;
    let client = server.client();
    client.events(&batch(1, &events)).await.unwrap();
    let mut stream = client.stream().within(3).after(1).open();
    assert!(matches!(stream.next().await, Ok(StreamItem::Gap { after: Some(1), .. })));
}

#[tokio::test]
async fn a_database_with_another_history_is_a_gap() {
    let front = Front::start().await;
    let (first, second) = (TestServer::start().await, TestServer::start().await);
    let events: Vec<_> = (1..=9).map(|number| started(root(1), process(number), "step")).collect();
    first.client().events(&batch(1, &events)).await.unwrap();
    front.lead_to(Some(first.address));
    let client = Client::new(settings(front.address));
    let mut stream = client.stream().after(0).open();
    let mut others = Vec::new();
    for _ in 0..9 {
        next(&mut stream, &mut others).await;
    }
    front.lead_to(Some(second.address));
    first.stop().await;
    loop {
        match stream.next().await.unwrap() {
            StreamItem::Gap { after: Some(_), until } => break assert_eq!(until, second.client().roots().await.unwrap().as_of),
            StreamItem::Event { number, .. } => panic!("event {number} of another past"),
            _ => {}
        }
    }
    second.client().events(&batch(1, &events[..1])).await.unwrap();
    assert_eq!(next(&mut stream, &mut Vec::new()).await.1, "process-started");
}

#[tokio::test]
async fn a_stream_that_is_refused_for_good_ends() {
    let server = TestServer::with(|config| config.loopback = monitor_server::Loopback::Token).await;
    let reader = server.may("read");
    assert_eq!(server.client().stream().open().next().await.unwrap_err().status(), Some(401));
    assert_eq!(reader.stream().root(99).open().next().await.unwrap_err().status(), Some(404));
    let mut stream = reader.stream().open();
    assert!(matches!(stream.next().await, Ok(StreamItem::Connected { .. })));
    server.access().revoke_token("a-read").unwrap();
    let error = loop {
        match stream.next().await {
            Ok(StreamItem::Interrupted { .. }) => {}
            Ok(told) => panic!("{told:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Refused { problem, .. } if problem.status == 401), "{}", error.causes());
}

#[tokio::test]
async fn a_subscriber_above_the_limit_waits_for_its_turn() {
    let server = TestServer::with(|config| config.max_subscribers = 1).await;
    let client = server.client();
    let mut first = client.stream().open();
    first.next().await.unwrap();
    let mut second = client.stream().open();
    let Ok(StreamItem::Interrupted { error, pause }) = second.next().await else { panic!("it waits") };
    assert!(error.status() == Some(503) && Some(pause) >= error.retry_after() && error.retry_after().is_some(), "{}", error.causes());
    drop(first);
    loop {
        match second.next().await.unwrap() {
            StreamItem::Connected { .. } => break,
            StreamItem::Interrupted { .. } => {}
            told => panic!("{told:?}"),
        }
    }
}

#[tokio::test]
async fn a_reader_that_drops_pending_reads_misses_nothing() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut stream = client.stream().types(["process-started"]).after(0).open();
    let events: Vec<_> = (1..=200).map(|number| started(root(1), process(number), "step")).collect();
    client.events(&batch(1, &events)).await.unwrap();
    let mut names = 0;
    while names < 200 {
        tokio::select! {
            biased;
            told = stream.next() => names += u64::from(matches!(told.unwrap(), StreamItem::Event { .. })),
            // Whatever the stream waits for is dropped each time.
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(client.tree(1).limit(1_000).await.unwrap().processes.len(), 200);
}
