//! A node on socketioxide: arguments are a port and the node's name.

use std::time::Duration;

use serde_json::json;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::socket::DisconnectReason;
use tokio::io::AsyncReadExt;

const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_MESSAGE_BYTES: u64 = 2 * 1024 * 1024;
/// What is emitted at once must fit; the default of 128 packets would cut a stream short.
const MAX_BUFFERED_PACKETS: usize = 16 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let port: u16 = args
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let name = args.next().expect("a name");

    let (layer, io) = SocketIo::builder()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_MESSAGE_BYTES)
        .max_buffer_size(MAX_BUFFERED_PACKETS)
        .build_layer();
    let clients = io.clone();
    io.ns("/", async move |socket: SocketRef| {
        welcome(&clients, &socket, name.clone())
    });

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("a free port");
    println!("ready");
    tokio::select! {
        ended = axum::serve(listener, axum::Router::new().layer(layer)) => ended.expect("it serves"),
        () = end_of_input() => (),
    }
    // The task that reads standard input cannot be interrupted.
    std::process::exit(0);
}

fn welcome(io: &SocketIo, socket: &SocketRef, name: String) {
    println!("{}", json!({"event": "connect", "id": socket.id}));
    socket.on_disconnect(async |socket: SocketRef, reason: DisconnectReason| {
        println!(
            "{}",
            json!({"event": "disconnect", "id": socket.id, "reason": reason.to_string()})
        );
    });
    // The type for text, JSON and binary alike that the library's documentation recommends.
    socket.on(
        "echo",
        async |Data::<rmpv::Value>(payload), ack: AckSender| {
            ack.send(&payload).ok();
        },
    );
    let whoami = name.clone();
    socket.on("whoami", async move |ack: AckSender| {
        ack.send(&whoami).ok();
    });
    let clients = io.clone();
    socket.on("clients", async move |ack: AckSender| {
        ack.send(&clients.sockets().len()).ok();
    });
    let everyone = io.clone();
    socket.on("broadcast", async move |Data::<String>(text)| {
        everyone.emit("broadcasted", &text).await.ok();
    });
    socket.on("stream", async |socket: SocketRef, Data::<u32>(count)| {
        for i in 0..count {
            socket.emit("n", &i).ok();
        }
    });
    socket.on("leave", async |socket: SocketRef| {
        socket.disconnect().ok();
    });
    socket.emit("welcome", &name).ok();
}

async fn end_of_input() {
    let mut buffer = [0; 64];
    while tokio::io::stdin()
        .read(&mut buffer)
        .await
        .is_ok_and(|count| count > 0)
    {}
}
