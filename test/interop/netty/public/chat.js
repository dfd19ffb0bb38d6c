const socket = io();
let connections = 0;

function show(state) {
  const connected = state === 'connected';
  $('#state').attr('data-state', state).text(state);
  $('#transport').text(connected ? socket.io.engine.transport.name : '–');
  $('#send').prop('disabled', !connected);
  $('#connection').text(connected ? 'Disconnect' : 'Connect');
  if (!connected) $('#node').text('–');
}

function addLine(line) {
  const log = $('#log').append(line);
  log.scrollTop(log.prop('scrollHeight'));
}

socket.on('connect', () => {
  connections += 1;
  show('connected');
  socket.io.engine.once('upgrade', () => show('connected'));
  socket.emit('whoami', '', ({ node }) => {
    $('#node').text(node);
    addLine($('<li class="notice">').text(`connection ${connections}: on ${node}`));
  });
});

socket.on('disconnect', (reason) => {
  show(reason === 'io client disconnect' ? 'disconnected' : 'lost');
});

socket.on('hellopush', ({ name, message, node }) => {
  const author = $('<span class="author">').text(`${name} on ${node}`);
  addLine($('<li>').append(author, document.createTextNode(message)));
});

$('#form').on('submit', (event) => {
  event.preventDefault();
  const said = { name: $('#name').val(), message: $('#message').val() };
  socket.emit('helloevent', said, ({ message }) => {
    addLine($('<li class="notice">').text(`acknowledged: ${message}`));
  });
  $('#message').val('').trigger('focus');
});

$('#connection').on('click', () => {
  if (socket.connected) socket.disconnect();
  else socket.connect();
});
