package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;

class DuckDbStoreTest extends StoreContract {
  @TempDir private Path folder;
  private int made;

  @Override
  StoreSettings fresh() {
    return StoreSettings.file(folder.resolve("events-" + made++ + ".duckdb"));
  }

  @Test
  void aDamagedFileSaysWhatToDo() throws Exception {
    Path text = Files.writeString(folder.resolve("text.duckdb"), "no database ".repeat(2000));
    assertThatThrownBy(() -> new EventStore(StoreSettings.file(text)).start(null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("out of the way");
    assertThat(text).hasContent("no database ".repeat(2000));
    StoreSettings settings = fresh();
    Running.on(settings).close();
    Files.write(Path.of(settings.location()), new byte[64], StandardOpenOption.WRITE);
    assertThatThrownBy(() -> new EventStore(settings).start(null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("out of the way");
  }

  @Test
  void aFolderThatIsNoneSaysSo() throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    assertThatThrownBy(
            () -> new EventStore(StoreSettings.file(file.resolve("e.duckdb"))).start(null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("folder");
  }

  @Test
  void otherDatabasesAreRefused() {
    assertThatThrownBy(() -> StoreSettings.at("jdbc:mysql://x/y"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("postgresql");
  }

  @Test
  void passwordsAreNotShown() {
    assertThat(Database.shown("jdbc:postgresql://h/d?user=me&password=secret&ssl=true"))
        .isEqualTo("jdbc:postgresql://h/d?user=me&password=***&ssl=true");
    assertThat(Database.shown("jdbc:postgresql://me:secret@h/d")).doesNotContain("secret");
  }

  @Test
  void anotherProcessIsNamed() throws Exception {
    StoreSettings settings = fresh();
    Process other = CrashTest.child(settings.location(), 0);
    try {
      assertThat(other.inputReader().readLine()).startsWith("flushed");
      assertThatThrownBy(() -> new EventStore(settings).start(null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("in use by another process (" + other.pid() + ")");
      assertThatThrownBy(() -> StoredEvents.open(settings))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("in use");
    } finally {
      other.destroyForcibly().waitFor();
    }
  }
}
