package chat;

import com.corundumstudio.socketio.Configuration;
import com.corundumstudio.socketio.SocketIOServer;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A chat node as an application would write it: {@code ChatServer <port> <name>}.
 *
 * <p>Prints {@code ready <name> <port>} when it serves, exits with 2 when it cannot, and stops when
 * its standard input ends, so that it never outlives the process that started it.
 */
public final class ChatServer {
  private ChatServer() {}

  /** What a client says, and with {@code node} filled in what its node pushes to everyone on it. */
  public static final class Message {
    public String name;
    public String message;
    public String node;
  }

  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[0]);
    String node = args[1];
    SocketIOServer server = new SocketIOServer(configuration(port));
    addListeners(server, node);
    try {
      server.start();
    } catch (Exception failure) {
      System.err.println("cannot listen on " + port + ": " + failure.getMessage());
      System.exit(2);
    }
    System.out.println("ready " + node + " " + port);
    while (System.in.read() != -1) {
      continue;
    }
    System.exit(0);
  }

  private static Configuration configuration(int port) {
    Configuration configuration = new Configuration();
    configuration.setHostname("127.0.0.1");
    configuration.setPort(port);
    configuration.setBossThreads(1);
    configuration.setWorkerThreads(4);
    return configuration;
  }

  private static void addListeners(SocketIOServer server, String node) {
    AtomicInteger opened = new AtomicInteger();
    server.addConnectListener(client -> opened.incrementAndGet());
    server.addEventListener(
        "helloevent",
        Message.class,
        (client, message, ack) -> {
          message.node = node;
          server.getBroadcastOperations().sendEvent("hellopush", message);
          ack.sendAckData(message);
        });
    server.addEventListener("echo", Object.class, (client, value, ack) -> ack.sendAckData(value));
    server.addEventListener(
        "whoami",
        String.class,
        (client, ignored, ack) ->
            ack.sendAckData(
                Map.of(
                    "node", node,
                    "transport", client.getTransport().getValue(),
                    "clients", server.getAllClients().size(),
                    "opened", opened.get())));
  }
}
