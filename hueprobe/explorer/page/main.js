const data = JSON.parse(document.getElementById("data").textContent);

document.title = data.title;
