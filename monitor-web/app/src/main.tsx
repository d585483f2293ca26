document.title = "Process Monitor";
