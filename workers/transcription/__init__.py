"""Write down what is said: sound to 16 kHz samples, samples to segments window by window, segments to each format."""
