package interop;

import com.corundumstudio.socketio.AckRequest;
import com.corundumstudio.socketio.Configuration;
import com.corundumstudio.socketio.SocketIOClient;
import com.corundumstudio.socketio.SocketIOServer;
import com.corundumstudio.socketio.Transport;
import com.corundumstudio.socketio.protocol.JacksonJsonSupport;
import com.corundumstudio.socketio.protocol.Packet;
import com.corundumstudio.socketio.transport.NamespaceClient;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Field;
import java.util.Base64;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * A node on netty-socketio, one source for both of its lines: {@code EchoServer <port> <name>}.
 *
 * <p>Prints {@code ready <name> <port>} and then one JSON object a line for each client that comes
 * and goes. Ends with its standard input.
 */
public final class EchoServer {
  private static final int MAX_MESSAGE_BYTES = 2 * 1024 * 1024;

  private EchoServer() {}

  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[0]);
    String node = args[1];
    SocketIOServer server = new SocketIOServer(configuration(port));
    tellOfClients(server, node);
    answerEvents(server, node);
    try {
      server.start();
    } catch (Exception failure) {
      System.err.println("cannot listen on " + port + ": " + failure.getMessage());
      System.exit(2);
    }
    Executors.newSingleThreadScheduledExecutor()
        .scheduleAtFixedRate(() -> nudge(server), 0, 200, TimeUnit.MILLISECONDS);
    print("ready " + node + " " + port);
    while (System.in.read() != -1) {
      continue;
    }
    System.exit(0);
  }

  private static Configuration configuration(int port) {
    Configuration configuration = new Configuration();
    configuration.setHostname("127.0.0.1");
    configuration.setPort(port);
    // A port that was free a moment ago may still remember old connections.
    configuration.getSocketConfig().setReuseAddress(true);
    configuration.setBossThreads(1);
    configuration.setWorkerThreads(4);
    configuration.setPingInterval(1000);
    configuration.setPingTimeout(4000);
    // 64 KiB by default; a message of 1 MiB grows by a third where it travels as base64.
    configuration.setMaxHttpContentLength(MAX_MESSAGE_BYTES);
    configuration.setMaxFramePayloadLength(MAX_MESSAGE_BYTES);
    configuration.setJsonSupport(new FaithfulJson());
    return configuration;
  }

  /** An echo keeps nulls, and takes bytes of any length: the library breaks its base64 into lines. */
  private static final class FaithfulJson extends JacksonJsonSupport {
    @Override
    protected void init(ObjectMapper mapper) {
      super.init(mapper);
      mapper.setSerializationInclusion(JsonInclude.Include.ALWAYS);
      mapper.configure(JsonParser.Feature.ALLOW_UNQUOTED_CONTROL_CHARS, true);
    }
  }

  private static void tellOfClients(SocketIOServer server, String node) {
    server.addConnectListener(
        client -> {
          print("{\"event\":\"connect\",\"id\":\"" + client.getSessionId() + "\"}");
          client.sendEvent("welcome", node);
        });
    server.addDisconnectListener(
        client -> {
          // The library does not tell why.
          String id = client.getSessionId().toString();
          print("{\"event\":\"disconnect\",\"id\":\"" + id + "\",\"reason\":\"\"}");
        });
  }

  /**
   * Sends something to who polls. A client that upgrades waits for its last poll to end; the library
   * ends one poll, and if the client was quick to poll again, nothing but a message ends that one.
   */
  private static void nudge(SocketIOServer server) {
    for (SocketIOClient client : server.getAllClients()) {
      if (client.getTransport() == Transport.POLLING && waiting(client).isEmpty()) {
        client.sendEvent("nudge");
      }
    }
  }

  private static void answerEvents(SocketIOServer server, String node) {
    server.addEventListener(
        "echo", Object.class, (client, value, ack) -> ack.sendAckData(asSent(value, ack)));
    server.addEventListener(
        "whoami", Object.class, (client, ignored, ack) -> ack.sendAckData(node));
    server.addEventListener(
        "clients",
        Object.class,
        (client, ignored, ack) -> ack.sendAckData(server.getAllClients().size()));
    server.addEventListener(
        "sessions",
        Object.class,
        (client, ignored, ack) -> ack.sendAckData(sessions(server)));
    server.addEventListener(
        "broadcast",
        String.class,
        (client, text, ack) -> server.getBroadcastOperations().sendEvent("broadcasted", text));
    server.addEventListener(
        "stream",
        Integer.class,
        (client, count, ack) -> new Thread(() -> stream(client, count)).start());
    server.addEventListener("leave", Object.class, (client, ignored, ack) -> client.disconnect());
  }

  /**
   * In portions, because the library loses every 51st packet that waits for a poll: it takes it off
   * its queue before it looks at its limit of 50. The queue can be refilled while it is emptied.
   */
  private static void stream(SocketIOClient client, int count) {
    Queue<Packet> waiting = waiting(client);
    int next = 0;
    while (next < count && client.getNamespace().getClient(client.getSessionId()) != null) {
      LockSupport.parkNanos(1_000_000);
      if (!waiting.isEmpty()) continue;
      int end = Math.min(count, next + 16);
      while (next < end) client.sendEvent("n", next++);
    }
  }

  private static Queue<Packet> waiting(SocketIOClient client) {
    return ((NamespaceClient) client).getBaseClient().getPacketsQueue(Transport.POLLING);
  }

  /** The library hands over bytes as text in base64 unless the listener takes nothing but bytes. */
  private static Object asSent(Object value, AckRequest ack) throws ReflectiveOperationException {
    Packet packet = (Packet) field(ack, "originalPacket");
    return packet.hasAttachments() ? Base64.getMimeDecoder().decode((String) value) : value;
  }

  /** Engine.IO sessions held in memory, those included that no client ever asked for. */
  private static int sessions(SocketIOServer server) throws ReflectiveOperationException {
    Object clients = field(field(server, "pipelineFactory"), "clientsBox");
    return ((Map<?, ?>) field(clients, "uuid2clients")).size();
  }

  private static Object field(Object owner, String name) throws ReflectiveOperationException {
    Field field = owner.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return field.get(owner);
  }

  private static synchronized void print(String line) {
    System.out.println(line);
  }
}
