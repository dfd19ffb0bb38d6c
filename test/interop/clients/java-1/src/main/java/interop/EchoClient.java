package interop;

import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Manager;
import io.socket.client.Socket;
import io.socket.engineio.client.Transport;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * One session on socket.io-client-java, one source for both of its lines: takes a JSON object a
 * line on its standard input and answers each on its standard output. Ends with its input.
 */
public final class EchoClient {
  private static final PrintStream OUT =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

  private Socket socket;
  private volatile String transport;

  private EchoClient() {}

  public static void main(String[] args) throws Exception {
    EchoClient client = new EchoClient();
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      JSONObject request = new JSONObject(line);
      int id = request.getInt("id");
      try {
        client.take(id, request);
      } catch (Exception failure) {
        fail(id, failure);
      }
    }
    System.exit(0);
  }

  private void take(int id, JSONObject request) throws Exception {
    switch (request.getString("do")) {
      case "connect" -> connect(id, request);
      case "transport" -> answer(id, transport);
      case "echo" -> echo(id, request);
      case "whoami" -> socket.emit("whoami", new Object[0], (Ack) args -> answer(id, args[0]));
      case "stream" -> stream(id, request.getInt("count"));
      case "leave" -> {
        socket.once(Socket.EVENT_DISCONNECT, args -> answer(id, null));
        socket.emit("leave");
      }
      case "disconnect" -> {
        socket.disconnect();
        answer(id, null);
      }
      default -> throw new IllegalArgumentException("cannot " + request.getString("do"));
    }
  }

  private void connect(int id, JSONObject request) throws Exception {
    JSONArray names = request.getJSONArray("transports");
    IO.Options options = new IO.Options();
    options.forceNew = true;
    options.reconnection = false;
    options.transports = new String[names.length()];
    for (int i = 0; i < names.length(); i++) options.transports[i] = names.getString(i);

    socket = IO.socket(request.getString("url"), options);
    socket.io().once(Manager.EVENT_TRANSPORT, args -> follow((Transport) args[0]));
    socket.once("welcome", args -> answer(id, object("node", welcomed(args))));
    socket.once(Socket.EVENT_CONNECT_ERROR, args -> fail(id, args[0]));
    socket.once(Socket.EVENT_DISCONNECT, args -> print(object("event", "closed")));
    socket.connect();
  }

  /** An event that came ahead of the connect packet has its name again before what it says. */
  private static Object welcomed(Object[] args) {
    return args[0].equals("welcome") ? args[1] : args[0];
  }

  /** The library tells of transports that it tries, but not which one is in use. */
  private void follow(Transport first) {
    transport = first.name;
    try {
      Field field = Manager.class.getDeclaredField("engine");
      field.setAccessible(true);
      io.socket.engineio.client.Socket engine =
          (io.socket.engineio.client.Socket) field.get(socket.io());
      engine.on(
          io.socket.engineio.client.Socket.EVENT_UPGRADE,
          args -> transport = ((Transport) args[0]).name);
    } catch (ReflectiveOperationException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private void echo(int id, JSONObject request) throws JSONException {
    String kind = request.has("text") ? "text" : request.has("json") ? "json" : "base64";
    Object value = request.get(kind);
    if (kind.equals("base64")) value = Base64.getDecoder().decode((String) value);
    socket.emit("echo", new Object[] {value}, (Ack) args -> answer(id, payload(kind, args[0])));
  }

  private static JSONObject payload(String sent, Object value) {
    if (value instanceof byte[] bytes) {
      return object("base64", Base64.getEncoder().encodeToString(bytes));
    }
    return object(sent.equals("json") || !(value instanceof String) ? "json" : "text", value);
  }

  private void stream(int id, int count) {
    JSONArray numbers = new JSONArray();
    socket.on(
        "n",
        args -> {
          numbers.put(args[0]);
          if (numbers.length() < count) return;
          socket.off("n");
          answer(id, numbers);
        });
    socket.emit("stream", count);
  }

  private static void answer(int id, Object value) {
    print(with(object("id", id), "ok", value));
  }

  private static void fail(int id, Object why) {
    Throwable cause = why instanceof Throwable thrown ? thrown.getCause() : null;
    String reason = cause == null ? String.valueOf(why) : why + ": " + cause;
    print(with(object("id", id), "error", reason));
  }

  private static JSONObject object(String key, Object value) {
    return with(new JSONObject(), key, value);
  }

  private static JSONObject with(JSONObject object, String key, Object value) {
    try {
      return object.put(key, value == null ? JSONObject.NULL : value);
    } catch (JSONException failure) {
      throw new IllegalArgumentException(failure);
    }
  }

  private static synchronized void print(JSONObject line) {
    OUT.println(line);
  }
}
